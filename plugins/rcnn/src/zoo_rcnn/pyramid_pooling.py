"""Spatial pyramid pooling (He 2014, arXiv:1406.4729): a vector of fixed length from any map.

A map is divided into 1 x 1, 2 x 2, 3 x 3 and 6 x 6 bins, whatever its size, and each bin keeps its
maximum: 50 numbers for each channel, with which fully connected layers can go on (section 2.2).
In an image classifier the map is that of the whole image; in a detector, the window of it that
lies under a region (section 4).

Shapes: n images, c channels, h w height and width of the map, r regions, b bins of all levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import ConfigError
from zoo_rcnn import operators

LEVELS = (1, 2, 3, 6)
"""Of the paper's detector: 1 + 4 + 9 + 36 = 50 bins."""


def count_bins(levels: Sequence[int]) -> int:
    """b: the bins of all levels together.

    Raises:
        ConfigError: no level, or one without bins.
    """
    if not levels or min(levels) < 1:
        raise ConfigError(
            f"a pyramid of the levels {list(levels)} has no bins",
            "Give the bins on each side of one level or more: [1, 2, 3, 6].",
        )
    return sum(bins**2 for bins in levels)


def pyramid_pool(features: Tensor, levels: Sequence[int] = LEVELS) -> Tensor:
    """Maps (n, c, h, w) of any size -> (n, c, b), level by level, row by row.

    Bin i of p along a side of length h spans floor(i h / p) to ceil((i + 1) h / p), so that none
    is empty and all cells belong to one (appendix A).
    """
    height, width = features.shape[2:]
    return torch.stack(
        [
            features[:, :, top:bottom, left:right].amax(dim=(2, 3))
            for bins in levels
            for top, bottom in _spans(height, bins)
            for left, right in _spans(width, bins)
        ],
        dim=2,
    )


def _spans(size: int, bins: int) -> list[tuple[int, int]]:
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]


def region_windows(rois: Tensor, *, stride: int, height: int, width: int) -> Tensor:
    """The cells of a map (h, w) that lie under regions, at least one (appendix A).

    A corner is projected so that the cells' receptive fields are centred inside the region: the
    first cell is floor(x1 / stride) + 1, the last is ceil(x2 / stride) - 1.

    Args:
        rois: (r, 5): index of the image, x1 y1 x2 y2 in px of the image.
        stride: px of the image for a cell of the map.
        height: of the map.
        width: of the map.

    Returns:
        (r, 5): index, first column, first row, last column, last row.
    """
    first = (rois[:, 1:3] / stride).floor() + 1
    last = (rois[:, 3:5] / stride).ceil() - 1
    middle = ((rois[:, 1:3] + rois[:, 3:5]) / (2 * stride)).floor()
    empty = last < first
    limit = rois.new_tensor([width - 1, height - 1])
    first = torch.where(empty, middle, first).clamp(min=0).minimum(limit)
    last = torch.where(empty, middle, last).clamp(min=0).minimum(limit)
    return torch.cat([rois[:, :1], first, last], dim=1)


def pyramid_pool_regions(
    features: Tensor, rois: Tensor, *, stride: int, levels: Sequence[int] = LEVELS
) -> Tensor:
    """Pool the window under each region: maps (n, c, h, w), rois (r, 5) -> (r, c, b).

    One level is what Fast R-CNN calls RoI pooling, so the operator for that does the work.
    """
    height, width = features.shape[2:]
    windows = region_windows(rois, stride=stride, height=height, width=width)
    return torch.cat(
        [
            operators.roi_max_pool(features, windows, bins=bins, scale=1.0).flatten(2)
            for bins in levels
        ],
        dim=2,
    )
