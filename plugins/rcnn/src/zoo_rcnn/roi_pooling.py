"""From a region of a feature map to a grid of fixed size, as plain torch functions.

``roi_max_pool`` is the RoI pooling layer of Fast R-CNN (Girshick 2015, arXiv:1504.08083, section
2.1), ``roi_align`` its successor (He 2017, arXiv:1703.06870, section 3).  Both go through the
regions one by one, so that each reads as it is explained; they equal torchvision's operators,
gradients included, and are deterministic on every device.  The detectors call ``operators``, which
has the fast ones.

Shapes: n images, c channels, h w height and width of the map, r regions, p bins on each side.
``rois`` (r, 5) are the index of the image and x1 y1 x2 y2 in px of the image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def roi_max_pool(features: Tensor, rois: Tensor, *, bins: int, scale: float) -> Tensor:
    """RoI pooling: the maximum of each of p x p parts of a region.

    The region is rounded to whole cells of the map and divided into p x p sub-windows of about
    equal size, which overlap where the division leaves a rest.  A bin outside the map is 0.

    Args:
        features: (n, c, h, w).
        rois: (r, 5).
        bins: p.
        scale: cells of the map for a px of the image, 1 / stride.

    Returns:
        (r, c, p, p).
    """
    height, width = features.shape[2:]
    pooled = [
        torch.stack(
            [
                _maximum(features[index, :, top:bottom, left:right])
                for top, bottom in _windows(y1, y2, bins, height)
                for left, right in _windows(x1, x2, bins, width)
            ],
            dim=1,
        )
        for index, x1, y1, x2, y2 in _on_map(rois, scale)
    ]
    if not pooled:
        return _nothing(features, bins)
    grid: Tensor = torch.stack(pooled).unflatten(2, (bins, bins))
    return grid


def _on_map(rois: Tensor, scale: float) -> list[tuple[int, int, int, int, int]]:
    """The regions in whole cells, halves rounded away from zero."""
    scaled = rois[:, 1:] * scale
    cells = torch.where(scaled < 0, (scaled - 0.5).ceil(), (scaled + 0.5).floor())
    return torch.cat([rois[:, :1], cells], dim=1).long().tolist()


def _windows(start: int, end: int, bins: int, size: int) -> list[tuple[int, int]]:
    """First cell, and the one after the last, of each sub-window from ``start`` to ``end``."""
    length = torch.tensor(max(end - start + 1, 1), dtype=torch.float32)
    edges = torch.arange(bins + 1) * (length / bins)
    first = (edges[:-1].floor().long() + start).clamp(0, size)
    after = (edges[1:].ceil().long() + start).clamp(0, size)
    return list(zip(first.tolist(), after.tolist(), strict=True))


def _maximum(window: Tensor) -> Tensor:
    """(c, ...) -> (c,).  The gradient goes to the first of equal maxima, as in the operator."""
    cells = window.flatten(1)
    if cells.shape[1] == 0:
        return cells.sum(dim=1)
    return cells.max(dim=1).values


def roi_align(
    features: Tensor,
    rois: Tensor,
    *,
    bins: int,
    scale: float,
    samples: int = 0,
    aligned: bool = False,
) -> Tensor:
    """RoIAlign: the mean of points in each of p x p parts of a region, nothing rounded.

    The value at a point is interpolated from the four cells around it.  As that is linear along
    each axis, a region takes two matrix products: rows (p, h) times map (h, w) times columns
    (w, p), where a row holds the weight of each cell of the map in one bin.

    Args:
        features: (n, c, h, w).
        rois: (r, 5).
        bins: p.
        scale: cells of the map for a px of the image, 1 / stride.
        samples: points along each side of a bin; 0: as many as cover the bin's cells.
        aligned: cell (0, 0) has its centre at (0.5, 0.5) of the region's plane, as in pictures;
            otherwise at (0, 0), and a region is at least one cell wide.

    Returns:
        (r, c, p, p).
    """
    pooled = []
    for index, x1, y1, x2, y2 in rois:
        rows = _bin_weights(y1 * scale, y2 * scale, bins, features.shape[2], samples, aligned)
        columns = _bin_weights(x1 * scale, x2 * scale, bins, features.shape[3], samples, aligned)
        pooled.append(rows.to(features) @ features[int(index)] @ columns.to(features).T)
    return torch.stack(pooled) if pooled else _nothing(features, bins)


def _bin_weights(
    start: Tensor, end: Tensor, bins: int, size: int, samples: int, aligned: bool
) -> Tensor:
    """(bins, size): the weight of each cell along one axis in each bin."""
    if aligned:
        start, end = start - 0.5, end - 0.5
        length = end - start
    else:
        length = (end - start).clamp(min=1)
    points = samples or max(math.ceil(length / bins), 0)
    if points == 0:
        return length.new_zeros(bins, size)
    bin_index = torch.arange(bins, device=start.device)[:, None]
    point_index = torch.arange(points, device=start.device)
    at = start + bin_index * (length / bins) + (point_index + 0.5) * (length / bins / points)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    cells = torch.arange(size, device=start.device)
    near = (1 - (at[..., None] - cells).abs()).clamp(min=0)
    return (near * inside[..., None]).mean(dim=1)


def _nothing(features: Tensor, bins: int) -> Tensor:
    """No regions: an empty result through which a gradient of zeros flows back."""
    return features[:0, :, :1, :1].expand(-1, -1, bins, bins)
