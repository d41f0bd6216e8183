"""What is marked on images: of one, and of all images of a split in four arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Objects:
    """What is marked on one image.

    Attributes:
        boxes: (m, 4) float32 x1 y1 x2 y2 in px; pixel i covers i to i + 1.
        labels: (m,) int64; -1 for a class that is not known.
        crowd: (m,) bool: the box is around a group, whose members are not marked.
        difficult: (m,) bool: neither finding nor missing it counts in an evaluation.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> Objects:
        """Some of them, in this order."""
        at = chosen if isinstance(chosen, slice) else np.asarray(chosen, dtype=np.int64)
        return Objects(self.boxes[at], self.labels[at], self.crowd[at], self.difficult[at])

    def digest(self) -> str:
        """A short hash of all of it."""
        digest = hashlib.sha256()
        for part in (self.boxes, self.labels, self.crowd, self.difficult):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


class ObjectTable(Sequence[Objects]):
    """The objects of each image of a split.

    In few arrays: a split of COCO has a million boxes, and each as an object of Python's would take
    ten times the memory, again in every loader process.

    Args:
        whole: the objects of all images, those of the first image first.
        counts: (n,) of each image.
    """

    def __init__(self, whole: Objects, counts: NDArray[np.int64]) -> None:
        self.whole = whole
        self.counts = counts
        self._stops = np.cumsum(counts)

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, item: int) -> Objects: ...

    @overload
    def __getitem__(self, item: slice) -> ObjectTable: ...

    def __getitem__(self, item: int | slice) -> Objects | ObjectTable:
        if isinstance(item, slice):
            return self.only(range(len(self))[item])
        stop = int(self._stops[item])
        return self.whole.rows(slice(stop - int(self.counts[item]), stop))

    def only(self, chosen: Iterable[int]) -> ObjectTable:
        """The objects of these images, in this order."""
        at = np.fromiter(chosen, dtype=np.int64)
        counts = self.counts[at]
        first = np.repeat(self._stops[at] - counts, counts)
        within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
        return ObjectTable(self.whole.rows(first + within), counts)

    def with_rows(self, keep: NDArray[np.bool_], boxes: NDArray[np.float32]) -> ObjectTable:
        """Those of all objects that are to be kept, with other boxes.

        Args:
            keep: (all objects,) bool.
            boxes: (all objects, 4).
        """
        owners = np.repeat(np.arange(len(self)), self.counts)[keep]
        counts = np.bincount(owners, minlength=len(self)).astype(np.int64)
        whole = self.whole
        kept = Objects(boxes, whole.labels, whole.crowd, whole.difficult)
        return ObjectTable(kept.rows(np.flatnonzero(keep)), counts)

    def row_of(self, image: int, row: int) -> int:
        """Where an image's object stands among all."""
        return int(self._stops[image] - self.counts[image]) + row
