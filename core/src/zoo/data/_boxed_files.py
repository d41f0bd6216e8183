"""A split whose images are files with boxes, and what is wrong with those."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data._files import FileDataset
from zoo.errors import DataError
from zoo.structures import Sample


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

    def rows(self, chosen: Sequence[int]) -> Objects:
        """Some of them, in this order."""
        at = np.array(chosen, dtype=np.int64)
        return Objects(self.boxes[at], self.labels[at], self.crowd[at], self.difficult[at])

    def digest(self) -> str:
        """A short hash of all of it."""
        digest = hashlib.sha256()
        for part in (self.boxes, self.labels, self.crowd, self.difficult):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class BadBox:
    """One thing that is wrong with the annotation of an image that can be used all the same.

    Attributes:
        image: name of the image.
        row: of its box among the image's objects; -1 where it is not about a box.
        cause: file, number and what is wrong, as a sentence.
        clipped: the part of the box that lies in the image, if that is a box; empty otherwise.
    """

    image: str
    row: int
    cause: str
    clipped: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BoxedFiles(FileDataset):
    """Images by path, with boxes.

    Attributes:
        objects: of each image; none are good data as well.
        sizes_px: height and width of each image, (0, 0) where they are not known.
        bad_boxes: what is wrong with boxes.
        faults: what is wrong with annotations of which nothing can be used, by the image's name.
        unreadable: what is wrong with images, by name.
        notes: sentences about how the annotations were understood.
    """

    truth_word: ClassVar[str] = "set of boxes"

    objects: Sequence[Objects]
    sizes_px: Sequence[tuple[int, int]]
    bad_boxes: Sequence[BadBox] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def load(self, index: int) -> Sample:
        """Decode one image; targets "boxes", "labels", "crowd" and "difficult"."""
        if self.names[index] in self.faults:
            raise DataError(self.faults[self.names[index]], "See it with `zoo data check`.")
        found = self.objects[index]
        return Sample(
            self.image(index),
            {
                "boxes": torch.from_numpy(found.boxes),
                "labels": torch.from_numpy(found.labels),
                "crowd": torch.from_numpy(found.crowd),
                "difficult": torch.from_numpy(found.difficult),
            },
        )

    def truths(self) -> list[str]:
        """A short hash of each image's objects."""
        return [objects.digest() for objects in self.objects]

    def strata(self) -> NDArray[np.int64]:
        """One group: an image has no single class."""
        return np.zeros(len(self), dtype=np.int64)

    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""
        chosen = [int(index) for index in chosen]
        names = [self.names[index] for index in chosen]
        kept = frozenset(names)
        return replace(
            self,
            names=names,
            sizes_bytes=[self.sizes_bytes[index] for index in chosen],
            objects=[self.objects[index] for index in chosen],
            sizes_px=[self.sizes_px[index] for index in chosen],
            bad_boxes=[bad for bad in self.bad_boxes if bad.image in kept],
            faults={name: cause for name, cause in self.faults.items() if name in kept},
            unreadable={name: cause for name, cause in self.unreadable.items() if name in kept},
        )

    def settled(self, on_bad_box: Literal["clip", "skip"]) -> Self:
        """The split with good boxes alone.

        Args:
            on_bad_box: "clip" cuts boxes that reach out of their image, and leaves out those of
                which nothing would be left; "skip" leaves out all bad ones. Both leave out images
                whose annotation cannot be read.
        """
        bad: dict[str, dict[int, BadBox]] = {}
        for one in self.bad_boxes:
            bad.setdefault(one.image, {})[one.row] = one
        objects = [
            _mended(found, bad[name], clip=on_bad_box == "clip") if name in bad else found
            for name, found in zip(self.names, self.objects, strict=True)
        ]
        mended = replace(self, objects=objects, bad_boxes=())
        if not self.faults:
            return mended
        kept = [index for index, name in enumerate(self.names) if name not in self.faults]
        return mended.only(kept)


def _mended(objects: Objects, bad: Mapping[int, BadBox], *, clip: bool) -> Objects:
    boxes = objects.boxes.copy()
    kept = []
    for row in range(len(objects)):
        if row in bad:
            if not clip or not bad[row].clipped:
                continue
            boxes[row] = bad[row].clipped
        kept.append(row)
    return replace(objects, boxes=boxes).rows(kept)
