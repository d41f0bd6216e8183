"""The feature maps that a detector without a pyramid works on.

Shapes: n images, c channels, h w height and width in px.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from zoo.models import build_backbone
from zoo.structures import Backbone

Norm = Literal["batch", "frozen"]

LARGEST_STRIDE = 16
"""Of the papers' networks (ZF, VGG): 7 x 7 cells for a region of 112 px."""


class SingleMapBackbone(nn.Module):
    """A backbone up to one stage, its last.

    Attributes:
        strides: px of the image for a cell of the map, as a tuple of one.
        channels: of the map.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.body = backbone.module
        self.strides = (backbone.stages[-1].stride,)
        self.channels = backbone.stages[-1].channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (n, c, h, w) -> one map (n, channels, h / stride, w / stride), as a list."""
        maps: dict[str, Tensor] = self.body(images)
        return [list(maps.values())[-1]]


@contextmanager
def with_learned_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms use the mean and variance that they have learned, whatever their mode."""
    norms = [
        part
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training  # noqa: SLF001
    ]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def build_up_to_stage(
    backbone: str,
    stage: str | None,
    *,
    norm: Norm,
    norm_eps: float | None,
    in_channels: int,
    options: Mapping[str, Any] | None,
) -> Backbone:
    """A backbone of the registry up to one stage.

    Args:
        backbone: name of a model with stages.
        stage: the last one; None: the coarsest of a stride of at most 16.
        norm: "frozen" for batch norms that are constants.
        norm_eps: of frozen norms.
        in_channels: of the images.
        options: of the backbone's model.
    """
    return build_backbone(
        backbone,
        out=[stage] if stage else None,
        max_stride=None if stage else LARGEST_STRIDE,
        norm=norm,
        norm_eps=norm_eps,
        in_channels=in_channels,
        **(options or {}),
    )
