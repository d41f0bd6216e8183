"""torchvision's compiled operators, loaded when the first is called.

torchvision's package takes seconds to import, so only this file names it.  What needs float32 gets
it: in half precision a coordinate of 1,000 px would be off by several px.

RoI pooling has no deterministic gradient on CUDA, and RoIAlign only one that is compiled.  Where
torch is told to be deterministic, the plain functions of ``roi_pooling`` stand in for both.  On a
CPU, RoIAlign learns on maps of moderate size by matrix products.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_rcnn import roi_pooling
from zoo_rcnn.separable_align import separable_roi_align

MOST_CELLS = 8192
"""Of a map that is pooled by matrix products: their work and memory grow with it."""


def roi_max_pool(features: Tensor, rois: Tensor, *, bins: int, scale: float) -> Tensor:
    """``roi_pooling.roi_max_pool``, fast."""
    if _must_be_deterministic(features):
        return roi_pooling.roi_max_pool(features.float(), rois, bins=bins, scale=scale)
    from torchvision.ops import roi_pool

    pooled: Tensor = roi_pool(features.float(), rois, output_size=bins, spatial_scale=scale)
    return pooled


def roi_align(
    features: Tensor,
    rois: Tensor,
    *,
    bins: int,
    scale: float,
    samples: int = 0,
    aligned: bool = False,
) -> Tensor:
    """``roi_pooling.roi_align``, fast."""
    if _must_be_deterministic(features):
        # Its matrix products would be of half precision.
        with torch.autocast(features.device.type, enabled=False):
            return roi_pooling.roi_align(
                features.float(), rois, bins=bins, scale=scale, samples=samples, aligned=aligned
            )
    if samples and _learns_on_cpu(features) and features[0, 0].numel() <= MOST_CELLS:
        with torch.autocast("cpu", enabled=False):
            return separable_roi_align(
                features.float(), rois, bins=bins, scale=scale, samples=samples, aligned=aligned
            )
    from torchvision.ops import roi_align as fast

    pooled: Tensor = fast(
        features.float(),
        rois,
        output_size=bins,
        spatial_scale=scale,
        sampling_ratio=samples,
        aligned=aligned,
    )
    return pooled


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every box (m, 4) with every other (k, 4): (m, k)."""
    from torchvision.ops import box_iou as iou

    overlap: Tensor = iou(boxes, others)
    return overlap


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression within each group: indices of what is kept, the best first.

    Args:
        boxes: (m, 4).
        scores: (m,).
        groups: (m,) int64; boxes of different groups (classes, levels) leave each other alone.
        iou: a box that overlaps a better one of its group by more is dropped.
    """
    from torchvision.ops import batched_nms

    kept: Tensor = batched_nms(boxes, scores, groups, iou)
    return kept


def _must_be_deterministic(features: Tensor) -> bool:
    return torch.are_deterministic_algorithms_enabled() and features.device.type != "cpu"


def _learns_on_cpu(features: Tensor) -> bool:
    return features.device.type == "cpu" and features.requires_grad and torch.is_grad_enabled()
