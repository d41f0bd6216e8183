"""The files of a pack: many images in one file, and a manifest that names and vouches for all.

photos-256/
    pack.json       what the pack is, and the size and SHA-256 of each file
    train.images    JPEGs or raw pixels, one after another
    train.masks     one for each image, compressed by zlib; for segmentation alone
    train.index     safetensors: where each image ends, its CRC-32, size, name and targets
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import DataError
from zoo.runs import WrittenFile, dump_json, parse_json

MANIFEST = "pack.json"
_FORMAT, _VERSION = "zoo pack", 1
_AGAIN = "Pack the source again with `zoo data pack`, or copy the pack again."
_CHUNK_BYTES = 1 << 22

Kind = Literal["labels", "boxes", "masks"]
ImageFormat = Literal["jpeg", "raw"]
Index = Mapping[str, NDArray[Any]]
"""Columns of a split: "ends" and "checksums" (n,) of ``train.images``, "sizes" (n, 2) height and
width in px, "names", and those of the pack's kind:

labels  "labels" (n,)
boxes   "objects" (n,), how many each image has; "boxes" (m, 4), "labels", "crowd", "difficult" (m,)
masks   "mask_ends", "mask_checksums" (n,) of ``train.masks``; "pixels" (n, k + 1)
"""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a pack is.

    Attributes:
        kind: which targets its images have.
        image_format: of the images: "jpeg", or "raw" for (height, width, channels) uint8.
        size_px: that shorter sides were reduced to, where they were longer.
        quality: of images that were encoded as JPEG; None where they are raw.
        channels: of raw pixels, and what the images of a JPEG pack were decoded to.
        classes: names, in the order of their numbers.
        source: name, layout and fingerprint of what was packed.
        splits: images of each split.
        files: by name.
    """

    kind: Kind
    image_format: ImageFormat
    size_px: int
    quality: int | None
    channels: int
    classes: tuple[str, ...]
    source: Mapping[str, str]
    splits: Mapping[str, int]
    files: Mapping[str, WrittenFile]

    def text(self) -> str:
        """What ``pack.json`` holds: all of it, with a checksum of itself."""
        content = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        return dump_json({**content, "checksum": _checksum(content)})

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """Of the pack in a folder, whose other files have the sizes that it says.

        Raises:
            DataError: a file is missing, cut off or altered.
        """
        path = root / MANIFEST
        try:
            content = parse_json(path.read_bytes())
            checksum = content.pop("checksum")
            version = content.pop("version")
            altered = content.pop("format") != _FORMAT or checksum != _checksum(
                {"format": _FORMAT, "version": version, **content}
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise DataError(f"{path} cannot be read: {error}", _AGAIN) from error
        if altered:
            raise DataError(f"{path} was altered", _AGAIN)
        if version != _VERSION:
            raise DataError(f"{path} is of version {version}; this zoo reads {_VERSION}", _AGAIN)
        files = {name: WrittenFile(**file) for name, file in content.pop("files").items()}
        classes = tuple(content.pop("classes"))
        manifest = cls(**content, classes=classes, files=files)
        for name, file in files.items():
            _check_size(root / name, file.size_bytes)
        return manifest

    def index(self, root: Path, split: str) -> Index:
        """The columns of a split.

        Raises:
            DataError: the file was altered.
        """
        name = f"{split}.index"
        content = (root / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.files[name].sha256:
            raise DataError(f"{root / name} was altered", _AGAIN)
        return safetensors.numpy.load(content)

    def altered_files(self, root: Path) -> list[str]:
        """Names of files whose SHA-256 is no longer what it was; reads all of them."""
        altered = []
        for name, file in self.files.items():
            digest = hashlib.sha256()
            with (root / name).open("rb") as opened:
                while chunk := opened.read(_CHUNK_BYTES):
                    digest.update(chunk)
            if digest.hexdigest() != file.sha256:
                altered.append(name)
        return altered


class GrowingFile:
    """A new file that blocks are added to; on the disk when its ``with`` ends.

    Attributes:
        ends: where each block ends.
        checksums: CRC-32 of each block.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ends: list[int] = []
        self.checksums: list[int] = []
        self._sha256 = hashlib.sha256()
        self._file = path.open("xb")

    def add(self, block: bytes) -> None:
        """Write a block behind those that are there."""
        self._file.write(block)
        self._sha256.update(block)
        self.ends.append((self.ends[-1] if self.ends else 0) + len(block))
        self.checksums.append(zlib.crc32(block))

    def written(self) -> WrittenFile:
        """Its size and SHA-256."""
        return WrittenFile(self.ends[-1], self._sha256.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            if error[0] is None:
                self._file.flush()
                os.fsync(self._file.fileno())


class Blocks:
    """A file of byte strings, one after another, mapped into memory.

    The first reading of each, in a run with all of its workers, compares its CRC-32.

    Args:
        path: of the file.
        ends: (n,) where each string ends.
        checksums: (n,) CRC-32 of each.
    """

    def __init__(self, path: Path, ends: NDArray[np.int64], checksums: NDArray[np.uint32]) -> None:
        self._path = path
        self._ends = ends
        self._checksums = checksums
        # In memory that workers share with this process.
        self._checked = torch.zeros(len(ends), dtype=torch.uint8).share_memory_().numpy()
        self._content = _mapped(path)

    def read(self, number: int) -> Tensor:
        """One string, (length,) uint8: a view of the file, not to be written to.

        Raises:
            DataError: it is not what was written.
        """
        start = int(self._ends[number - 1]) if number else 0
        content = self._content[start : int(self._ends[number])]
        if not self._checked[number]:
            if zlib.crc32(content.numpy().data) != self._checksums[number]:
                raise DataError(f"{self._path} was altered, at byte {start} or after it", _AGAIN)
            self._checked[number] = 1
        return content

    def __getstate__(self) -> dict[str, Any]:
        """For a worker that is started afresh: it maps the file itself."""
        return {**self.__dict__, "_content": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._content = _mapped(self._path)


def join_names(names: Sequence[str]) -> NDArray[np.uint8]:
    """File names, whatever bytes the file system gave them, as one array."""
    return np.frombuffer("\0".join(names).encode("utf-8", "surrogateescape"), np.uint8)


def split_names(joined: NDArray[np.uint8]) -> list[str]:
    """What ``join_names`` joined."""
    return joined.tobytes().decode("utf-8", "surrogateescape").split("\0")


def _mapped(path: Path) -> Tensor:
    with warnings.catch_warnings():
        # torch cannot mark a tensor as not to be written to, and says so once.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r"))


def _check_size(path: Path, size_bytes: int) -> None:
    try:
        found = path.stat().st_size
    except OSError:
        raise DataError(f"{path} is missing from its pack", _AGAIN) from None
    if found != size_bytes:
        raise DataError(f"{path} has {found} bytes, and had {size_bytes}", _AGAIN)


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump_json(content).encode()).hexdigest()
