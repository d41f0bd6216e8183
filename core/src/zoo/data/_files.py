"""A split whose images are files, and the search for such files."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data._decode import IMAGE_SUFFIXES, decode_image
from zoo.errors import DataError
from zoo.structures import Sample


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


def path_of(text: str) -> Path:
    """The path that a user means; ``Path.expanduser`` raises where ``~name`` is nobody's home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def exists(path: Path) -> bool:
    """``Path.exists`` raises for a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110


def find_images(folder: Path) -> list[str]:
    """Image files under a folder, by their suffix, in natural order, as relative names.

    Hidden files and folders are left out; links are followed, and a loop of links only once.
    """
    return sorted(_walk(folder, "", frozenset()), key=natural_key)


def loose_images(folder: Path) -> list[str]:
    """Image files in a folder itself, by their suffix, in natural order."""
    names = [entry.name for entry in os.scandir(folder) if entry.is_file() and _is_image(entry)]
    return sorted(names, key=natural_key)


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, in natural order."""
    found = [
        Path(entry.path) for entry in os.scandir(folder) if _visible(entry.name) and entry.is_dir()
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def filled_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without the space around them.

    Raises:
        DataError: it is not UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}", "Save it as UTF-8.") from error
    return [line.strip() for line in lines if line.strip()]


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key with numbers by value: "class2" comes before "class10".

    >>> sorted(["b10", "b9", "a"], key=natural_key)
    ['a', 'b9', 'b10']
    """
    text = unicodedata.normalize("NFC", text)
    return tuple(
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    )


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if not _visible(entry.name):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{name}/", above | {real})
            elif _is_image(entry):
                yield name


def _is_image(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1]  # noqa: PTH122
    return _visible(entry.name) and suffix.lower() in IMAGE_SUFFIXES


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
