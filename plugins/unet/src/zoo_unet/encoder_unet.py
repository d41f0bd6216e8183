"""A U-Net whose contracting path is a backbone of the registry, so that it can start pretrained.

The expanding path doubles the size step by step from the coarsest map of the backbone to the image;
a step has a skip where the backbone has a map of its stride.

Shapes: n images, c channels, h w height and width in px, k classes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.structures import Tiling
from zoo_unet.parts import Up, UpMode, check_width, initialise, resize_canvas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.structures import Backbone, Stage


class EncoderUNet(nn.Module):
    """A backbone on the way down, double convolutions with its maps as skips on the way up.

    Attributes:
        tiling: how large images are cut; None where the backbone does not say how far it sees.
        head_parts: names of the submodules that depend on the classes.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("outc",)

    def __init__(
        self, encoder: Backbone, *, num_classes: int, width: int = 16, up: UpMode = "transposed"
    ) -> None:
        """Build, and initialise all but the encoder.

        Args:
            encoder: with any number of stages.
            num_classes: channels of the logits.
            width: channels at the image's size; each coarser step has twice as many.
            up: how a step doubles the size.

        Raises:
            ConfigError: a stride of the encoder is no power of two, or the width is none.
        """
        super().__init__()
        check_width(width)
        # Of several maps of one stride, the last has been through them all.
        stages = {stage.stride: stage for stage in encoder.stages}
        _check_strides(stages)
        coarsest = max(stages)
        strides = [2**i for i in reversed(range(coarsest.bit_length() - 1))]
        self.coarsest = stages[coarsest].name
        self.skips = [stages[stride].name if stride in stages else None for stride in strides]
        self.tiling = _tiling(stages.values()) if up == "transposed" else None

        self.encoder = encoder.module
        self.decoder = nn.ModuleList()
        channels = stages[coarsest].channels
        for stride in strides:
            skip_channels = stages[stride].channels if stride in stages else 0
            self.decoder.append(Up(channels, skip_channels, width * stride, up=up))
            channels = width * stride
        self.outc = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, num_classes, kernel_size=1)))
        initialise(self.decoder)
        initialise(self.outc)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w), normalised -> logits (n, k, h, w)."""
        maps: dict[str | None, Tensor] = self.encoder(images)
        x = maps[self.coarsest]
        for step, skip in zip(self.decoder, self.skips, strict=True):
            x = step(x, maps.get(skip))
        logits: Tensor = self.outc(x)
        return resize_canvas(logits, images.shape[-2:])


def _check_strides(strides: Iterable[int]) -> None:
    for stride in strides:
        if stride & (stride - 1):
            raise ConfigError(
                f"the encoder has a map of stride {stride}, which no number of doublings undoes",
                "Use a backbone whose strides are powers of two.",
            )


def _tiling(stages: Iterable[Stage]) -> Tiling | None:
    """How far a block of as many px as the coarsest stride sees, through the map of each stage.

    On the way to a map, two convolutions at each finer stride see one of its px further each, and
    what is seen then begins at a multiple of the next stride.
    """
    by_stride = {stage.stride: stage.context_px for stage in stages}
    coarsest, seen_px, reach_px = max(by_stride), 0, []
    for stride in (2**i for i in range(coarsest.bit_length())):
        seen_px = -(-seen_px // stride) * stride
        seen_px += 2 * stride if stride < coarsest else 0
        if stride in by_stride:
            context_px = by_stride[stride]
            if context_px is None:
                return None
            reach_px.append(seen_px + context_px)
    return Tiling(stride=coarsest, context_px=max(reach_px))
