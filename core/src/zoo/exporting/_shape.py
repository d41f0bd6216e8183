"""The shape of what an exported graph takes.

Shapes: b images, c channels, h w height and width in px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import UsageError
from zoo.structures import Tiling

if TYPE_CHECKING:
    from torch import nn

    from zoo.cards import InputSpec
    from zoo.data.transforms import Transforms

DYNAMIC: Literal["dynamic"] = "dynamic"
"""The word for a length that every call of the graph may choose."""
ImageSize = int | tuple[int, int] | Literal["dynamic"]
"""px of a square, (height, width), or any."""
_UNKNOWN = Tiling(stride=32, context_px=0)
"""Of a model that states none: multiples that any common network takes."""
_LONGEST_PX = 1 << 15
"""Of a dynamic height or width: the tracer wants a bound."""
_EXAMPLE_BATCH = 2
"""Images that a dynamic batch is traced with; 0 and 1 would be taken for constants."""
_EXAMPLE_PX = 64


@dataclass(frozen=True, kw_only=True)
class InputShape:
    """What the graph takes: (b, c, h, w).

    Attributes:
        channels: of the images.
        batch_size: images of a call; None: as many as there are.
        size_px: height and width; None: any that are ``stride`` times a number, plus ``rest``.
        stride, rest, least_px: of a dynamic height and width.
    """

    channels: int
    batch_size: int | None
    size_px: tuple[int, int] | None
    stride: int = 1
    rest: int = 0
    least_px: int = 1

    def example(self) -> tuple[int, int, int, int]:
        """The shape to trace with."""
        return (self.batch_size or _EXAMPLE_BATCH, self.channels, *self.sizes()[0])

    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths to try; of a dynamic size a square, a flat and a tall one."""
        if self.size_px is not None:
            return [self.size_px]
        small = self._at_least(_EXAMPLE_PX)
        large = self._at_least(_EXAMPLE_PX + 2 * self.stride)
        return [(small, small), (small, large), (large, small)]

    def batch_sizes(self, images: int) -> list[int]:
        """How to cut so many images into batches; a fixed batch is filled up."""
        if self.batch_size is not None:
            return [self.batch_size] * max(1, -(-images // self.batch_size))
        return [size for size in (1, 2, images - 3) if size > 0]

    def dynamic(self) -> dict[int, Any]:
        """The dimensions that are no constants, as ``torch.export`` wants them."""
        from torch.export import Dim

        dimensions: dict[int, Any] = {}
        if self.batch_size is None:
            dimensions[0] = Dim("batch", min=1)
        if self.size_px is None:
            for at, name in ((2, "height"), (3, "width")):
                # With a stride of 1 the tracer takes 1 px for a constant, and it must start at 2.
                least = max(-(-(self.least_px - self.rest) // self.stride), 2 // self.stride, 1)
                count = Dim(name, min=least, max=_LONGEST_PX // self.stride)
                length: Any = count if self.stride == 1 else self.stride * count
                dimensions[at] = length + self.rest if self.rest else length
        return dimensions

    def describe(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        height, width = self.size_px or (DYNAMIC, DYNAMIC)
        size = {"batch": self.batch_size or DYNAMIC, "channels": self.channels}
        size |= {"height": height, "width": width}
        if self.size_px is None:
            size |= {"multiple_of": self.stride, "plus": self.rest, "least": self._at_least(1)}
        return size

    def __str__(self) -> str:
        height, width = self.size_px or ("height", "width")
        return f"({self.batch_size or 'batch'}, {self.channels}, {height}, {width})"

    def _at_least(self, length_px: int) -> int:
        """The smallest allowed length from a length on."""
        least = max(length_px, self.least_px)
        return least + (self.rest - least) % self.stride


def choose_shape(
    model: nn.Module,
    transforms: Transforms,
    spec: InputSpec,
    *,
    image_size: ImageSize | None,
    batch_size: int | None,
) -> InputShape:
    """The shape of a model's graph.

    Args:
        model: may state a ``tiling``.
        transforms: of its evaluation.
        spec: its input.
        image_size: default: dynamic where evaluations take images of any size, else that of the
            evaluation.
        batch_size: images of a call, or None for any number.

    Raises:
        UsageError: images that are all resized to a square have another shape.
    """
    any_size = transforms.fill is not None
    if image_size is None:
        image_size = DYNAMIC if any_size else spec.size_px
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if not any_size and (image_size == DYNAMIC or image_size[0] != image_size[1]):
        raise UsageError(
            "evaluations of this model resize each image to a square, and so must its users",
            f"Give --image-size one number of px, or leave it out for {spec.size_px}.",
        )
    if image_size != DYNAMIC:
        return InputShape(channels=spec.channels, batch_size=batch_size, size_px=image_size)
    tiling: Tiling = getattr(model, "tiling", None) or _UNKNOWN
    frame_px = 2 * tiling.margin_px  # which the graph adds by mirroring
    return InputShape(
        channels=spec.channels,
        batch_size=batch_size,
        size_px=None,
        stride=tiling.stride,
        rest=(tiling.offset_px - frame_px) % tiling.stride,
        least_px=max(tiling.least_px - frame_px, 1),
    )
