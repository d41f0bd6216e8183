"""The manifest: which files make a checkpoint, and the SHA-256 of every byte, its own included.

``manifest.json`` is valid only as exactly the bytes that ``Manifest.to_bytes`` gives, so that a
flipped bit anywhere in it is found, even one between two values.  The rule for ``sha256`` (of the
same text with an empty ``sha256``) holds for every version of the format, past and future: a newer
checkpoint is told apart from a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from zoo.checkpoint._tensors import TensorFacts
from zoo.errors import CheckpointError
from zoo.runs import is_safe_name, parse_json

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
MAX_JSON_BYTES = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROLES = {"tensors", "values"}


class NewerFormatError(CheckpointError):
    """An undamaged checkpoint that a newer version of zoo wrote."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of the checkpoint: its name in the folder, size and SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint consists of.

    Attributes:
        step: optimizer steps done.
        files: "tensors" (safetensors) and "values" (JSON).
        tensors: global shape and dtype of each tensor.
    """

    step: int
    files: Mapping[str, FileFacts]
    tensors: Mapping[str, TensorFacts]

    def to_bytes(self) -> bytes:
        """The content of ``manifest.json``."""
        return _seal(
            {
                "format": "zoo-checkpoint",
                "version": FORMAT_VERSION,
                "step": self.step,
                "files": {
                    role: {"name": file.name, "bytes": file.size_bytes, "sha256": file.sha256}
                    for role, file in self.files.items()
                },
                "tensors": {
                    name: {"dtype": facts.dtype, "shape": list(facts.shape)}
                    for name, facts in self.tensors.items()
                },
            }
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest in a folder, checked to the last bit.

        Raises:
            CheckpointError: it is missing, damaged, or of a newer format.
        """
        path = folder / MANIFEST
        content = read_regular_file(path, max_bytes=MAX_JSON_BYTES)
        try:
            fields = parse_json(content)
            sealed = _seal({key: value for key, value in fields.items() if key != "sha256"})
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
        if sealed != content:
            raise CheckpointError(f"{path} is damaged: its SHA-256 does not match")
        if fields.get("version") != FORMAT_VERSION:
            raise NewerFormatError(
                f"{path} has format {fields.get('version')!r}, newer than {FORMAT_VERSION}",
                "Upgrade with: pip install --upgrade zoo-core",
            )
        try:
            return cls(
                step=_count(fields["step"]),
                files={role: _file(fields["files"][role]) for role in sorted(_ROLES)},
                tensors={name: _tensor(facts) for name, facts in fields["tensors"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path} is no manifest: {error!r}") from error


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """The content of an ordinary file; a link, pipe or giant is refused unread.

    Raises:
        CheckpointError: it is missing, no ordinary file, or too large to be honest.
    """
    check_regular_file(path)
    if path.stat().st_size > max_bytes:
        raise CheckpointError(f"{path} is damaged: {path.stat().st_size} bytes is too large")
    return path.read_bytes()


def check_regular_file(path: Path) -> None:
    """Raise ``CheckpointError`` unless the path is an ordinary file."""
    if path.is_symlink() or not path.is_file():
        raise CheckpointError(f"{path} is missing" if not path.exists() else f"{path} is no file")


def _seal(fields: Mapping[str, Any]) -> bytes:
    def text(sha256: str) -> bytes:
        return (json.dumps({**fields, "sha256": sha256}, indent=1) + "\n").encode()

    return text(hashlib.sha256(text("")).hexdigest())


def _file(fields: Mapping[str, Any]) -> FileFacts:
    name, sha256 = str(fields["name"]), str(fields["sha256"])
    if not is_safe_name(name) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"file {name!r}")
    return FileFacts(name, _count(fields["bytes"]), sha256)


def _tensor(fields: Mapping[str, Any]) -> TensorFacts:
    return TensorFacts(str(fields["dtype"]), tuple(_count(length) for length in fields["shape"]))


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
