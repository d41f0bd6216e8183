"""The feature pyramid network (Lin 2017, arXiv:1612.03144, section 3).

The coarse maps of a backbone know what is there, the fine ones where.  From the coarsest down, each
level is the level above, enlarged twofold, plus the backbone's map of that size.

Names of parameters and their initialisation are torchvision's.

Shapes: n images, c channels, h w height and width of a map, r regions, p bins on each side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from zoo.structures import Backbone
from zoo_rcnn.operators import roi_align

POOL = "pool"
"""The extra level on top: every second px of the coarsest, for anchors of the largest size."""

CANONICAL_PX = 224
CANONICAL_LEVEL = 4
"""A region of 224 px, the size of an ImageNet picture, belongs to the level of stride 2^4."""


class FeaturePyramid(nn.Module):
    """Maps of several levels -> maps of the same sizes with equal channels, and one more."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        # Each convolution in a Sequential of its own, for torchvision's names.
        self.inner_blocks = nn.ModuleList()
        self.layer_blocks = nn.ModuleList()
        for level_channels in in_channels:
            self.inner_blocks.append(nn.Sequential(nn.Conv2d(level_channels, channels, 1)))
            self.layer_blocks.append(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.get_parameter("bias"))

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps (n, c_level, h, w), the finest first -> (n, channels, h, w), then "pool"."""
        levels: dict[str, Tensor] = {}
        above: Tensor | None = None
        blocks = zip(maps.items(), self.inner_blocks, self.layer_blocks, strict=True)
        for (name, level), inner, layer in reversed(list(blocks)):
            merged = inner(level)
            if above is not None:
                merged = merged + interpolate(above, size=merged.shape[2:], mode="nearest")
            levels[name] = layer(merged)
            above = merged
        top = next(iter(levels.values()))
        pyramid = {name: levels[name] for name in maps}
        return {**pyramid, POOL: max_pool2d(top, kernel_size=1, stride=2)}


class PyramidBackbone(nn.Module):
    """A backbone with a feature pyramid on top.

    Attributes:
        strides: px of the image for a cell, of each level but the extra one.
        channels: of every level.
    """

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.body = backbone.module
        self.fpn = FeaturePyramid([stage.channels for stage in backbone.stages], channels)
        self.strides = tuple(stage.stride for stage in backbone.stages)
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (n, c, h, w) -> the maps of all levels, the finest first, the extra one last."""
        levels: dict[str, Tensor] = self.fpn(self.body(images))
        return list(levels.values())


def pyramid_level(rois: Tensor, strides: Sequence[int]) -> Tensor:
    """Which level each region is pooled from: (r, 5) -> (r,) int64, an index of ``strides``.

    Equation 1: one level coarser for each doubling of the region's size.
    """
    size = (rois[:, 3:5] - rois[:, 1:3]).prod(dim=1).sqrt()
    level = (CANONICAL_LEVEL + (size / CANONICAL_PX).log2() + 1e-6).floor()
    # Regions too small for the finest level, and those without area, are pooled from it.
    coarser = rois.new_tensor([math.log2(stride) for stride in strides[1:]])
    return (level[:, None] >= coarser).sum(dim=1)


def align_on_pyramid(
    maps: Sequence[Tensor], rois: Tensor, *, strides: Sequence[int], bins: int, samples: int = 2
) -> Tensor:
    """RoIAlign, each region from the level that fits its size.

    Args:
        maps: (n, c, h, w) of each level of ``strides``.
        rois: (r, 5): index of the image, x1 y1 x2 y2 in px.
        strides: of the levels, powers of 2.
        bins: p.
        samples: points along each side of a bin.

    Returns:
        (r, c, p, p).
    """
    level_of = pyramid_level(rois, strides)
    members = [torch.where(level_of == level)[0] for level in range(len(strides))]
    # Levels without regions too: then every parameter has a gradient, if a zero one.
    pooled = [
        roi_align(level, rois[indices], bins=bins, scale=1 / stride, samples=samples)
        for level, stride, indices in zip(maps, strides, members, strict=True)
    ]
    order = torch.cat(members).argsort()
    return torch.cat(pooled)[order]
