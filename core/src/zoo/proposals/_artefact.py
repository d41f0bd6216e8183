"""Proposals in a file: safetensors, sealed by a hash over every value in it.

The tensors are ``boxes`` (p, 4) and ``scores`` (p,) float32 of all images, one after the other, and
``counts`` (n,) int64; the metadata say of which images, and what made them.

Shapes: n images, p proposals of all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from zoo.errors import DataError
from zoo.proposals._images import ImageId
from zoo.proposals._method import Method
from zoo.runs import storage_errors, write_atomically

FORMAT_VERSION = 1
_METADATA = "zoo-proposals"
_DTYPES = {"boxes": np.float32, "scores": np.float32, "counts": np.int64}
_CURE = "Make it anew with `zoo proposals build`."


@dataclass(frozen=True)
class Proposals:
    """The proposals of some images.

    Attributes:
        method: that made them.
        images: which they are of.
        boxes: (p, 4) float32 x1 y1 x2 y2 in px of the image as in its file, those of the first
            image first, the best of an image first.
        scores: (p,) float32.
        counts: (n,) int64, proposals of each image.
    """

    method: Method
    images: tuple[ImageId, ...]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.counts)])

    def of(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (p, 4) and scores (p,) of an image."""
        part = slice(self._starts[row], self._starts[row + 1])
        return self.boxes[part], self.scores[part]

    def sha256(self) -> str:
        """Of the boxes and scores and which image each is of; not of what made them."""
        digest = hashlib.sha256(json.dumps(self.images).encode())
        for name in sorted(_DTYPES):
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()

    @classmethod
    def join(cls, method: Method, parts: Iterable[Proposals]) -> Proposals:
        """The proposals of all images of some parts."""
        parts = list(parts)
        return cls(
            method=method,
            images=tuple(chain.from_iterable(part.images for part in parts)),
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *(part.boxes for part in parts)]),
            scores=np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
            counts=np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)]),
        )


def save_proposals(path: Path, proposals: Proposals) -> None:
    """Write or replace a file, so that a crash leaves the old or the new one.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    tensors = {name: np.ascontiguousarray(getattr(proposals, name)) for name in _DTYPES}
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # One key: the library writes several in an order of its own.
    write_atomically(path, save(tensors, metadata={_METADATA: _sealed(proposals)}))


def read_proposals(path: Path) -> Proposals:
    """The proposals in a file, every value of it checked against the seal.

    Raises:
        DataError: it is missing, damaged, something else, or of a later format.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}", _CURE)
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_METADATA)
            if text is None or set(file.keys()) != set(_DTYPES):
                raise DataError(f"{path} holds no proposals", _CURE)
            arrays = {name: file.get_tensor(name) for name in _DTYPES}
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged, or holds no proposals: {error}", _CURE) from error
    try:
        return _checked(path, json.loads(text), text, arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error!r}", _CURE) from error


def _checked(path: Path, record: Any, text: str, arrays: dict[str, NDArray[Any]]) -> Proposals:
    if record["version"] != FORMAT_VERSION:
        raise DataError(
            f"{path} has format {record['version']!r}, not {FORMAT_VERSION}",
            "Use the version of zoo that wrote it, or make it anew with `zoo proposals build`.",
        )
    proposals = Proposals(
        method=Method.from_json(record["method"]),
        images=tuple(ImageId(name, mark) for name, mark in record["images"]),
        **arrays,
    )
    shapes_fit = (
        proposals.counts.shape == (len(proposals.images),)
        and proposals.boxes.shape == (proposals.counts.sum(), 4)
        and proposals.scores.shape == proposals.boxes.shape[:1]
        and all(arrays[name].dtype == dtype for name, dtype in _DTYPES.items())
    )
    if not shapes_fit or _sealed(proposals) != text:
        raise DataError(f"{path} is damaged: its SHA-256 does not match", _CURE)
    return proposals


def _sealed(proposals: Proposals) -> str:
    """The metadata as text, with a hash of themselves and the tensors."""
    record = {
        "version": FORMAT_VERSION,
        "method": proposals.method.to_json(),
        "num_images": len(proposals),
        "images": proposals.images,
    }
    digest = hashlib.sha256(json.dumps(record).encode())
    digest.update(proposals.sha256().encode())
    return json.dumps({**record, "sha256": digest.hexdigest()})
