"""RoIAlign of many regions at once as matrix products, for learning on a CPU.

torchvision's operator scatters the gradient of each point by itself there.  What it computes is
separable: rows (p, h) times map (h, w) times columns (w, p), see ``roi_pooling.roi_align``.  As
products over all regions of an image it takes, with its gradient, a third to a tenth of the time.

Shapes: n images, c channels, h w height and width of the map, r regions, p bins on each side.
"""

from __future__ import annotations

import torch
from torch import Tensor


def separable_roi_align(
    features: Tensor, rois: Tensor, *, bins: int, scale: float, samples: int, aligned: bool = False
) -> Tensor:
    """``roi_pooling.roi_align``, with a number of points that is the same for all regions.

    Args:
        features: (n, c, h, w); channels-last is fastest.
        rois: (r, 5): index of the image, x1 y1 x2 y2 in px of the image.
        bins: p.
        scale: cells of the map for a px of the image, 1 / stride.
        samples: points along each side of a bin, 1 or more.
        aligned: cell (0, 0) has its centre at (0.5, 0.5), as in pictures.

    Returns:
        (r, c, p, p).
    """
    _, channels, height, width = features.shape
    x1, y1, x2, y2 = (rois[:, 1:] * scale - 0.5 * aligned).unbind(dim=1)
    least = 0.0 if aligned else 1.0
    rows = _bin_weights(y1, (y2 - y1).clamp(min=least), bins, height, samples)
    columns = _bin_weights(x1, (x2 - x1).clamp(min=least), bins, width, samples)
    members = [torch.where(rois[:, 0] == index)[0] for index in range(len(features))]
    pooled = []
    for image, chosen in zip(features, members, strict=True):
        cells = image.permute(1, 2, 0).flatten(1)
        strips = (rows[chosen].flatten(0, 1) @ cells).view(len(chosen), bins, width, channels)
        pooled.append(columns[chosen, None] @ strips)
    order = torch.cat(members).argsort()
    return torch.cat(pooled)[order].permute(0, 3, 1, 2)


def _bin_weights(start: Tensor, length: Tensor, bins: int, size: int, samples: int) -> Tensor:
    """The weight of each cell along one axis in each bin of regions (r,): (r, bins, size)."""
    point = torch.arange(bins * samples, device=start.device)
    bin_length = length[:, None] / bins
    at = start[:, None] + point // samples * bin_length
    at = at + (point % samples + 0.5) * (bin_length / samples)
    inside = (at >= -1) & (at <= size)
    cells = torch.arange(size, device=start.device)
    near = (1 - (at.clamp(0, size - 1)[..., None] - cells).abs()).clamp(min=0)
    weights: Tensor = (near * inside[..., None]).unflatten(1, (bins, samples)).mean(dim=2)
    return weights
