"""The targets of a batch, image by image.

Shapes: b images, m boxes after padding, p proposals after padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.structures import SampleKey, SampleKeys

Targets = Mapping[str, Tensor]
"""``boxes`` (b, m, 4) x1 y1 x2 y2 in px of the batch's images and ``labels`` (b, m) int64, 0 to
k - 1 as users name the classes, -1 where padded; optional ``crowd`` and ``difficult`` (b, m) bool,
``proposals`` (b, p, 4) and ``proposal_counts`` (b,) int64."""

BACKGROUND = 0
"""The label of no object, inside a detector; class i of the user is label i + 1 there."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects of one image.

    Attributes:
        boxes: (m, 4) float32.
        labels: (m,) int64, 1 to k.
        crowds: (c, 4) float32, regions full of objects that nobody counted: nothing inside is
            an example of the background, or of anything.
        difficult: (d, 4) float32, objects that count neither if they are found nor if they are
            not: what lies on one is no example either.
    """

    boxes: Tensor
    labels: Tensor
    crowds: Tensor
    difficult: Tensor


def truths(targets: Targets) -> list[Truth]:
    """The objects of each image, without padding."""
    boxes, labels = targets["boxes"].float(), targets["labels"]
    real = labels >= 0
    none = torch.zeros_like(real)
    crowd = real & targets.get("crowd", none)
    difficult = real & targets.get("difficult", none) & ~crowd
    counted = real & ~crowd & ~difficult
    return [
        Truth(b[keep], label[keep] + 1, b[crowded], b[hard])
        for b, label, keep, crowded, hard in zip(
            boxes, labels, counted, crowd, difficult, strict=True
        )
    ]


def image_sizes(sizes: Tensor) -> list[tuple[int, int]]:
    """(b, 2) -> height and width of each image in px."""
    return [(height, width) for height, width in sizes.tolist()]


def keys_of(keys: SampleKeys | None, count: int) -> SampleKeys:
    """The keys of a batch; without keys, those of the first ``count`` images of epoch 0."""
    if keys is not None and len(keys):
        return keys
    return SampleKeys.of(SampleKey(0, index) for index in range(count))


def to_rois(boxes: Sequence[Tensor]) -> Tensor:
    """The boxes (m, 4) of each image -> (r, 5) with the index of the image in front."""
    return torch.cat(
        [torch.nn.functional.pad(b, (1, 0), value=float(i)) for i, b in enumerate(boxes)]
    )
