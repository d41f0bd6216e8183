"""A split whose images are files with boxes, and what is wrong with those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.boxes._objects import ObjectTable
from zoo.data.datasets import FileDataset
from zoo.errors import DataError
from zoo.structures import Sample


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

    def outcome(self, on_bad_box: Literal["clip", "skip"]) -> str:
        """What becomes of it: "clipped", "left out"; "not believed", a size of the image."""
        if self.row < 0:
            return "not believed"
        return "clipped" if on_bad_box == "clip" and self.clipped else "left out"


@dataclass(frozen=True, kw_only=True)
class BoxedFiles(FileDataset):
    """Images by path, with boxes.

    Attributes:
        objects: of each image; none are good data as well.
        sizes_px: (n, 2) int64 height and width of each image, 0 where they are not known.
        bad_boxes: what is wrong with boxes.
        faults: what is wrong with annotations of which nothing can be used, by the image's name.
        unreadable: what is wrong with images, by name.
        notes: sentences about how the annotations were understood.
    """

    truth_word: ClassVar[str] = "set of boxes"

    objects: ObjectTable
    sizes_px: NDArray[np.int64]
    bad_boxes: Sequence[BadBox] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def load(self, index: int) -> Sample:
        """Decode one image; targets "boxes", "labels", "crowd" and "difficult"."""
        if self.names[index] in self.faults:
            raise DataError(self.faults[self.names[index]], "See it with `zoo data check`.")
        image = self.image(index)
        self._check_size(index, image)
        found = self.objects[index]
        return Sample(
            image,
            {
                "boxes": torch.from_numpy(found.boxes),
                "labels": torch.from_numpy(found.labels),
                "crowd": torch.from_numpy(found.crowd),
                "difficult": torch.from_numpy(found.difficult),
            },
        )

    def _check_size(self, index: int, image: Tensor) -> None:
        stated, found = tuple(self.sizes_px[index].tolist()), tuple(image.shape[-2:])
        if any(stated) and stated != found:
            raise DataError(
                f"{self.path(index)} is {found[1]} x {found[0]} px, and its boxes are for"
                f" {stated[1]} x {stated[0]}",
                "See all with `zoo data check`; mend them, or say --on-bad-box clip or skip.",
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
            objects=self.objects.only(chosen),
            sizes_px=self.sizes_px[chosen],
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
        keep = np.ones(len(self.objects.whole), dtype=np.bool_)
        boxes = self.objects.whole.boxes.copy()
        at = {name: index for index, name in enumerate(self.names)}
        for bad in (of for of in self.bad_boxes if of.row >= 0):
            row = self.objects.row_of(at[bad.image], bad.row)
            keep[row] = bad.outcome(on_bad_box) == "clipped"
            boxes[row] = bad.clipped or boxes[row]
        mended = replace(self, objects=self.objects.with_rows(keep, boxes), bad_boxes=())
        if not self.faults:
            return mended
        kept = [index for index, name in enumerate(self.names) if name not in self.faults]
        return mended.only(kept)
