"""What a dense network asks of the size of its images, so that they can be padded and cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tiling:
    """Facts about a network that answers for each pixel; all lengths in px of the image.

    A segmentation model states one as its attribute ``tiling``.  With it an image of any size is
    padded to a size that the network takes, and a large one is run in tiles whose result equals
    that of the whole image.

    Attributes:
        stride: tiles begin at its multiples, since only there the grid of every pooling stays.
        context_px: how far beyond a part of the image that begins and ends at multiples of the
            stride (less the margins) the image can change the answers for that part.  It is the
            receptive radius at the edge of such a part; a pixel within may see a little further.
        margin_px: what the output lacks on each side: 92 for the valid convolutions of the U-Net
            paper, 0 with same padding.
        offset_px: what is left over when a size that the network takes is divided by the stride.
        least_px: the smallest size that the network takes.
    """

    stride: int
    context_px: int
    margin_px: int = 0
    offset_px: int = 0
    least_px: int = 1

    def __post_init__(self) -> None:
        if self.stride < 1 or min(self.context_px, self.margin_px, self.offset_px) < 0:
            raise ValueError(f"{self}: a positive stride and no negative length are needed")
        if self.offset_px >= self.stride:
            raise ValueError(f"{self}: the offset must be less than the stride")

    def input_px(self, output_px: int) -> int:
        """The smallest height or width of input that answers for ``output_px`` px.

        >>> Tiling(stride=16, context_px=94).input_px(100)
        112
        >>> Tiling(stride=16, context_px=92, margin_px=92, offset_px=12).input_px(388)
        572
        """
        least = max(output_px + 2 * self.margin_px, self.least_px)
        return least + (self.offset_px - least) % self.stride
