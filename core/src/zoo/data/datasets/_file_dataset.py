"""A split whose images are files."""

from __future__ import annotations

import hashlib
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.decoding import decode_image, split_page
from zoo.structures import Sample

_END_BYTES = 4096
"""What is looked at of either end of a file."""


@dataclass(frozen=True, kw_only=True)
class FileDataset(ABC):
    """Images by path; what is known of each is a subclass's matter.

    Attributes:
        root: folder that the names are relative to.
        names: of the files, with forward slashes; absolute where a CSV says so.
        sizes_bytes: of the files.
        classes: names, in the order of their numbers.
        channels: to decode to.
    """

    truth_word: ClassVar[str]
    """What ``truths`` are, in messages."""

    root: Path
    names: Sequence[str]
    sizes_bytes: Sequence[int]
    classes: tuple[str, ...]
    channels: int = 3

    @abstractmethod
    def load(self, index: int) -> Sample:
        """Decode one sample."""

    @abstractmethod
    def truths(self) -> list[Any]:
        """What is known of each image, as JSON can hold it."""

    @abstractmethod
    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""

    def strata(self) -> NDArray[np.int64]:
        """(n,) the group of each image, whose proportions a random split keeps; here one group."""
        return np.zeros(len(self), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """Of one image."""
        return self.root / self.names[index]

    def image(self, index: int) -> Tensor:
        """Decode one image: (c, h, w) uint8."""
        return decode_image(self.path(index), channels=self.channels)

    def mark(self, index: int) -> str:
        """What changes with the content of an image's file, and not with its place.

        The size, and a checksum of both ends: a thousand files take 15 ms, and another image of the
        same size and format differs there.
        """
        try:
            with split_page(self.path(index))[0].open("rb") as file:
                ends = file.read(_END_BYTES)
                file.seek(max(0, os.fstat(file.fileno()).st_size - _END_BYTES))
                ends += file.read(_END_BYTES)
        except OSError:  # said by whoever decodes it
            ends = b""
        return f"{self.sizes_bytes[index]} bytes, CRC {zlib.crc32(ends):08x}"

    def describe(self, index: int) -> str:
        """The path."""
        return str(self.path(index))

    def fingerprint(self) -> str:
        """SHA-256 of names, sizes and truths; not of the root, so that data may be moved."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for name, size_bytes, truth in sorted(self.rows()):
            digest.update(f"{name}\0{size_bytes}\0{truth}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def rows(self) -> list[tuple[str, int, Any]]:
        """Name, size and truth of each image."""
        return list(zip(self.names, self.sizes_bytes, self.truths(), strict=True))


@dataclass(frozen=True, kw_only=True)
class ImageFiles(FileDataset):
    """Images by path, with a label each.

    Attributes:
        labels: (n,) int64.
        targets: ``{"labels": labels}``.
    """

    truth_word: ClassVar[str] = "label"

    labels: Tensor
    targets: Mapping[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", {"labels": self.labels})

    def load(self, index: int) -> Sample:
        """Decode one image."""
        return Sample(self.image(index), {"labels": int(self.labels[index])})

    def truths(self) -> list[int]:
        """The labels."""
        labels: list[int] = self.labels.tolist()
        return labels

    def strata(self) -> NDArray[np.int64]:
        """The labels."""
        labels: NDArray[np.int64] = self.labels.numpy()
        return labels

    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""
        chosen = [int(index) for index in chosen]
        return replace(
            self,
            names=[self.names[index] for index in chosen],
            labels=self.labels[torch.tensor(chosen, dtype=torch.int64)],
            sizes_bytes=[self.sizes_bytes[index] for index in chosen],
        )
