"""Splits that are wholly in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from zoo.structures import Sample


@dataclass(frozen=True, kw_only=True)
class Resident:
    """Images of one size as one tensor (a ``ResidentDataset``).

    Attributes:
        name: for messages.
        images: (n, c, h, w) uint8.
        targets: by name, each (n, ...): ``{"labels": (n,) int64}``, ``{"masks": (n, h, w) uint8}``.
        classes: names, in the order of the labels; none where the targets are no classes.
    """

    name: str
    images: Tensor
    targets: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Sample:
        """One image, (c, h, w) uint8, and its targets."""
        rows = {name: target[index] for name, target in self.targets.items()}
        return Sample(
            self.images[index],
            {name: row.item() if row.ndim == 0 else row for name, row in rows.items()},
        )

    def describe(self, index: int) -> str:
        """The split's name and the index."""
        return f"{self.name}[{index}]"

    def fingerprint(self) -> str:
        """SHA-256 of shape, pixels and targets."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        for name in sorted(self.targets):
            digest.update(self.targets[name].contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class ResidentBoxes(Resident):
    """The same with boxes: ``{"boxes": (n, m, 4) float32, "labels": (n, m) int64}``.

    Images with fewer than m objects are padded: boxes with zeros, labels with -1.
    """

    def load(self, index: int) -> Sample:
        """One image and its own boxes and labels, without the padding."""
        own = self.targets["labels"][index] >= 0
        targets = {name: target[index][own] for name, target in self.targets.items()}
        return Sample(self.images[index], targets)
