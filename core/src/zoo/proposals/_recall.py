"""How many of the objects some proposal finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import Dataset
from zoo.proposals._artefact import Proposals

Boxes = NDArray[np.float32]


def recall(
    datasets: Sequence[Dataset], proposals: Proposals, ious: tuple[float, ...] = (0.5, 0.7)
) -> dict[float, float]:
    """The share of all objects that a proposal of their image overlaps by at least ``iou``.

    Crowds are no objects.

    Args:
        datasets: splits whose images, one after the other, are those of ``proposals``.
        ious: intersection over union.

    Returns:
        By IoU, from 0 to 1; nothing where the data have no boxes.
    """
    objects: list[Boxes] = []
    for dataset, index in ((of, index) for of in datasets for index in range(len(of))):
        truth = _objects(dataset, index)
        if truth is None:
            return {}
        objects.append(truth)
    return recall_of_boxes((proposals.of(row)[0] for row in range(len(objects))), objects, ious)


def recall_of_boxes(
    proposals: Iterable[Boxes], objects: Iterable[Boxes], ious: tuple[float, ...] = (0.5, 0.7)
) -> dict[float, float]:
    """The same of boxes: proposals (p, 4) and objects (m, 4) of each image; nothing of none."""
    best = [
        overlaps(truth, found).max(axis=1, initial=0.0)
        for found, truth in zip(proposals, objects, strict=True)
        if len(truth)
    ]
    all_best = np.concatenate(best) if best else np.zeros(0, dtype=np.float32)
    return {iou: float((all_best >= iou).mean()) for iou in ious} if len(all_best) else {}


def overlaps(first: Boxes, second: Boxes) -> Boxes:
    """Intersection over union of boxes (m, 4) and (p, 4): (m, p)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    far = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(far - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - common
    ious: Boxes = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return ious


def _objects(dataset: Dataset, index: int) -> Boxes | None:
    """Boxes (m, 4) of the objects on an image, which need not be decoded where files say them."""
    if isinstance(dataset, BoxedFiles):
        found = dataset.objects[index]
        return found.boxes[~found.crowd]
    targets = dataset.load(index).targets
    if "boxes" not in targets:
        return None
    boxes: Boxes = np.asarray(targets["boxes"], dtype=np.float32)
    crowd = np.asarray(targets.get("crowd", np.zeros(len(boxes))), dtype=bool)
    of_objects: Boxes = boxes[~crowd]
    return of_objects
