"""Which object, if any, an anchor or a proposal stands for.

Shapes: a candidates (anchors or proposals), m objects of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_rcnn.operators import box_iou
from zoo_rcnn.targets import BACKGROUND, Truth

IGNORED = -1
"""The label of a candidate that is neither an object nor the background."""

CROWD_SHARE = 0.7
"""A candidate that lies in a crowd by this part of its area is no example of the background."""


@dataclass(frozen=True, slots=True)
class Matching:
    """The rule of one detector.

    Attributes:
        foreground: a candidate whose best IoU is at least this stands for that object.
        background: it is background if its best IoU lies in [from, below).
        keep_best: the candidates nearest to an object stand for it however small their IoU, so
            that no object is without one (Ren 2015, section 3.1.2, i).
    """

    foreground: float
    background: tuple[float, float]
    keep_best: bool = False

    def __call__(self, candidates: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
        """Match the candidates (a, 4) of one image.

        All candidates of an image without objects are background, but for those that lie in a
        crowd, or on a difficult object as background may not lie on one that counts.

        Returns:
            (a,) int64, the object of each candidate, meaningful where it stands for one; and
            (a,) int64 labels: 1 to k, 0 for background, -1 for ignored.
        """
        if not len(truth.boxes):
            objects = torch.zeros(len(candidates), dtype=torch.int64, device=candidates.device)
            labels = torch.full_like(objects, BACKGROUND)
        else:
            objects, labels = self._match(candidates, truth)
        if len(truth.crowds):
            crowded = _share_inside(candidates, truth.crowds) >= CROWD_SHARE
            labels[crowded & (labels == BACKGROUND)] = IGNORED
        if len(truth.difficult):
            on_difficult = box_iou(truth.difficult, candidates).amax(dim=0) >= self.background[1]
            labels[on_difficult & (labels == BACKGROUND)] = IGNORED
        return objects, labels

    def _match(self, candidates: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
        overlap = box_iou(truth.boxes, candidates)
        best, objects = overlap.max(dim=0)
        low, high = self.background
        labels = torch.full_like(objects, IGNORED)
        labels[(best >= low) & (best < high)] = BACKGROUND
        positive = best >= self.foreground
        if self.keep_best:
            # Ties count; an object that nothing overlaps has no nearest candidate.
            nearest = overlap.amax(dim=1, keepdim=True)
            positive |= ((overlap == nearest) & (nearest > 0)).any(dim=0)
        return objects, torch.where(positive, truth.labels[objects], labels)


def _share_inside(candidates: Tensor, regions: Tensor) -> Tensor:
    """(a,): the largest part of each candidate's area that lies in one region."""
    left_top = torch.maximum(candidates[:, None, :2], regions[:, :2])
    right_bottom = torch.minimum(candidates[:, None, 2:], regions[:, 2:])
    inside = (right_bottom - left_top).clamp(min=0).prod(dim=2)
    area = (candidates[:, 2:] - candidates[:, :2]).prod(dim=1)
    return inside.amax(dim=1) / area.clamp(min=1e-6)
