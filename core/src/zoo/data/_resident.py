"""A split that is wholly in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from zoo.structures import Sample


@dataclass(frozen=True, kw_only=True)
class Resident:
    """Images of one size as one tensor (a ``ResidentDataset``).

    Attributes:
        name: for messages.
        images: (n, c, h, w) uint8.
        labels: (n,) int64.
        classes: names, in the order of the labels.
        targets: ``{"labels": labels}``.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    targets: Mapping[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", {"labels": self.labels})

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Sample:
        """One image, (c, h, w) uint8, and its label."""
        return Sample(self.images[index], {"labels": int(self.labels[index])})

    def describe(self, index: int) -> str:
        """The split's name and the index."""
        return f"{self.name}[{index}]"

    def fingerprint(self) -> str:
        """SHA-256 of shape, pixels and labels."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()
