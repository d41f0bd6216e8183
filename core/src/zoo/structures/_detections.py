"""What a detector finds, and what one forward pass of it gives.

Shapes: m detections of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.structures._step import LossSum


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects found on one image, the likeliest first.

    Attributes:
        boxes: (m, 4) x1 y1 x2 y2 in px of the image.
        scores: (m,) from 0 to 1.
        labels: (m,) int64, 0 to k - 1 as users name the classes.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """What ``detector(images, sizes, targets, keys=..., detect=...)`` returns.

    Attributes:
        losses: by name; empty where no boxes to learn from were given.
        detections: one for each image; empty where none were asked for.
    """

    losses: Mapping[str, LossSum]
    detections: Sequence[Detections]
