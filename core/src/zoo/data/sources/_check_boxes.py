"""What ``zoo data check`` says of boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import Dataset, ResidentBoxes
from zoo.wording import counted

_TINY_PX = 2
"""Side of a square that hardly anybody marks on purpose."""


@dataclass(frozen=True, kw_only=True)
class BoxCounts:
    """The boxes of a split.

    Attributes:
        classes: boxes of each class, by name.
        empty_images: images without any.
        repeated: boxes that are twice on an image, with one class.
        sides_px: (n,) the square root of each good box's area.
    """

    classes: Mapping[str, int]
    empty_images: int
    repeated: int
    sides_px: NDArray[np.float64]


def count_boxes(dataset: Dataset) -> BoxCounts | None:
    """What is in a split; None where it has no boxes."""
    found = _objects(dataset)
    if found is None:
        return None
    labels: Counter[int] = Counter()
    repeated = 0
    for own, boxes in found:
        labels.update(own.tolist())
        rows = [(label, *box) for label, box in zip(own.tolist(), boxes.tolist(), strict=True)]
        repeated += len(rows) - len({*rows})
    everything = np.concatenate([boxes for _, boxes in found]).astype(np.float64)
    with np.errstate(invalid="ignore"):  # of infinite corners
        areas = np.prod(everything[:, 2:] - everything[:, :2], axis=1)
    return BoxCounts(
        classes={name: labels[number] for number, name in enumerate(dataset.classes)},
        empty_images=sum(not len(own) for own, _ in found),
        repeated=repeated,
        sides_px=np.sqrt(areas[np.isfinite(areas) & (areas > 0)]),
    )


def bad_boxes(splits: Mapping[str, Dataset]) -> list[str]:
    """What is wrong with boxes, each with its file and number."""
    boxed = [of for of in splits.values() if isinstance(of, BoxedFiles)]
    return [bad.cause for dataset in boxed for bad in dataset.bad_boxes]


def box_notes(splits: Mapping[str, Dataset], counts: Mapping[str, BoxCounts]) -> list[str]:
    """How boxes were understood, and what one should know of them."""
    boxed = [of for of in splits.values() if isinstance(of, BoxedFiles)]
    notes = list(dict.fromkeys(note for dataset in boxed for note in dataset.notes))
    for split, count in counts.items():
        if count.empty_images:
            notes.append(f"{split} has {counted(count.empty_images, 'image')} without boxes")
        if count.repeated:
            boxes = counted(count.repeated, "box")
            notes.append(f"{split} has {boxes} twice on the same image")
        tiny = int((count.sides_px < _TINY_PX).sum())
        if tiny:
            notes.append(f"{split} has {counted(tiny, 'box')} below {_TINY_PX} x {_TINY_PX} px")
    return notes


def _objects(dataset: Dataset) -> Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]] | None:
    """Labels and boxes of each image."""
    if isinstance(dataset, BoxedFiles):
        return [(of.labels, of.boxes) for of in dataset.objects]
    if isinstance(dataset, ResidentBoxes):
        labels, boxes = (dataset.targets[name].numpy() for name in ("labels", "boxes"))
        return [(own[own >= 0], of[own >= 0]) for own, of in zip(labels, boxes, strict=True)]
    return None
