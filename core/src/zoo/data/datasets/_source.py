"""All splits of a source, ready to be read, and what a run keeps of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.cards import DatasetCard
from zoo.data.datasets._dataset import Dataset, Splits
from zoo.data.datasets._file_dataset import FileDataset


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data that are ready to be read.

    Attributes:
        name: short, for messages and folder names ("digits", "photos").
        layout: "registered", or one of ``LAYOUTS``.
        splits: always "train" and "val"; "test" where there is one.
        classes: of every split.
        card: of a registered data set.
        bad_images: what is wrong with images that were left out, by their paths.
        mended_boxes: "image", "box" (its number there), "cause" and what was "done" to it.
        whole: all images, where the splits were drawn here; None where the source has its own.
        place: what opens the same data from any folder: its path is absolute.
    """

    name: str
    layout: str
    splits: Splits
    classes: tuple[str, ...]
    card: DatasetCard | None = None
    bad_images: Mapping[str, str]
    mended_boxes: Sequence[Mapping[str, Any]] = ()
    whole: Dataset | None = None
    place: str = ""

    def fingerprint(self) -> str:
        """SHA-256 of what all splits hold: equal where the data are equal, wherever they lie."""
        digest = hashlib.sha256()
        for split in sorted(self.splits):
            digest.update(f"{split}\0{self.splits[split].fingerprint()}\n".encode())
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """What the run folder keeps of the data, as JSON: which image is in which split."""
        return {
            "name": self.name,
            "layout": self.layout,
            "classes": list(self.classes),
            "fingerprint": self.fingerprint(),
            "bad_images": dict(self.bad_images),
            "mended_boxes": list(self.mended_boxes),
            "splits": {split: _rows(dataset) for split, dataset in self.splits.items()},
        }

    def first_difference(self, record: Mapping[str, Any]) -> str | None:
        """How these data differ from those of ``record``, or None where they are the same."""
        if self.fingerprint() == record["fingerprint"]:
            return None
        if list(self.classes) != record["classes"]:
            return f"the classes are {list(self.classes)}, and were {record['classes']}"
        now, before = _by_name(self.record()["splits"]), _by_name(record["splits"])
        # Files that came or went first: they may have moved others to another split.
        for name in sorted(before.keys() - now.keys()):
            return f"{name} is missing"
        for name in sorted(now.keys() - before.keys()):
            return f"{name} is new"
        for name in sorted(now):
            words = ("split", "size in bytes", self._truth_word)
            for what, is_, was in zip(words, now[name], before[name], strict=True):
                if is_ != was:
                    return f"{name} has another {what}: {is_}, and had {was}"
        return "the pixels or the targets differ"

    @property
    def _truth_word(self) -> str:
        train = self.splits["train"]
        return train.truth_word if isinstance(train, FileDataset) else "label"


def _rows(dataset: Dataset) -> list[list[Any]]:
    """Name, size and truth of each image; nothing for data that are no files."""
    return [list(row) for row in dataset.rows()] if isinstance(dataset, FileDataset) else []


def _by_name(splits: Mapping[str, list[list[Any]]]) -> dict[str, tuple[str, int, Any]]:
    """Split, size and truth of each image."""
    return {
        name: (split, size_bytes, truth)
        for split, rows in splits.items()
        for name, size_bytes, truth in rows
    }
