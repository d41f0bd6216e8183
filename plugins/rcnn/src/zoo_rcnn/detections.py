"""From class scores and offsets of regions to detections: threshold, suppression, limit.

Shapes: r regions of an image, k classes, m detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.structures import Detections
from zoo_rcnn.box_coder import clip, is_larger_than
from zoo_rcnn.operators import suppress

SMALLEST_PX = 1e-2
"""Boxes with a side below this were cut away at the border."""


@dataclass(frozen=True, slots=True)
class DetectionRule:
    """What becomes a detection.

    Attributes:
        score: only what scores more.
        nms_iou: boxes of a class that overlap a better one by more are dropped.
        limit: of an image; the best stay.
    """

    score: float = 0.05
    nms_iou: float = 0.5
    limit: int = 100

    def __call__(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> Detections:
        """Choose among the regions of one image.

        Args:
            boxes: (r, k + 1, 4), of each region as an object of each class, background first.
            scores: (r, k + 1).
            size: height and width of the image in px.
        """
        num_classes = scores.shape[1] - 1
        boxes = clip(boxes[:, 1:].reshape(-1, 4), *size)
        scores = scores[:, 1:].flatten()
        labels = torch.arange(num_classes, device=scores.device).repeat(len(scores) // num_classes)
        sound = torch.where((scores > self.score) & is_larger_than(boxes, SMALLEST_PX))[0]
        boxes, scores, labels = boxes[sound], scores[sound], labels[sound]
        kept = suppress(boxes, scores, labels, self.nms_iou)[: self.limit]
        return Detections(boxes[kept], scores[kept], labels[kept])
