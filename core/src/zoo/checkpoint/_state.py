"""Save and restore the whole state of a run: tensors and JSON values, no pickle.

``checkpoints/step-N/`` and ``best/`` have one layout::

    tensors-1f3a….safetensors   named by their content, so that a write never meets an old file
    values-77c0….json
    manifest.json               its rename commits the other two

A checkpoint is built in a hidden folder and takes its name by one rename; ``best/`` (and a step
that is saved again) is replaced by the rename of the manifest.  A crash at any point leaves the old
state or the new one, and what it leaves behind is cleared by the next save.
"""

from __future__ import annotations

import errno
import hashlib
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.checkpoint._manifest import (
    MANIFEST,
    MAX_JSON_BYTES,
    FileFacts,
    Manifest,
    NewerFormatError,
    check_regular_file,
    read_regular_file,
)
from zoo.checkpoint._tensors import (
    count_bytes,
    describe_tensors,
    read_tensors,
    safetensors_chunks,
)
from zoo.errors import CheckpointError, StorageError
from zoo.runs import (
    JSON,
    check_free_space,
    dump_json,
    parse_json,
    storage_errors,
    sync_folder,
    temporary_name,
    write_atomically,
    write_new_file,
)

_STEP = re.compile(r"step-(0|[1-9][0-9]{0,17})")
_SAVING, _DELETING, _CORRUPT = ".saving-", ".deleting-", ".corrupt-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that was verified bit for bit.

    Attributes:
        step: optimizer steps done.
        tensors: on the CPU, by name.
        values: everything that is no tensor.
        path: the folder it was read from.
    """

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    path: Path


def save_checkpoint(
    run_checkpoints: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    values: Mapping[str, JSON],
    *,
    keep_last: int,
) -> Path:
    """Write ``step-N``, read back and flushed; only then delete what is older than the last ones.

    Args:
        run_checkpoints: the run's ``checkpoints/``; made where it is missing.
        step: optimizer steps done; a step that is already there is replaced atomically.
        tensors: by name, on any device.
        values: JSON values; what JSON would change is refused.
        keep_last: checkpoints that stay, this one included.

    Returns:
        The folder of the checkpoint.

    Raises:
        StorageError: no room, or the disk fails; every older checkpoint is still there.
        TypeError: a value that JSON, or a dtype that safetensors cannot hold.
    """
    if keep_last < 1:
        raise ValueError(f"keep_last is {keep_last}; at least the newest must stay")
    folder = run_checkpoints / f"step-{step}"
    text = dump_json(values).encode()
    needed_bytes = count_bytes(tensors) + len(text)
    with storage_errors(folder, needed_bytes=needed_bytes):
        _make_folder(run_checkpoints)
        _clear_debris(run_checkpoints)
        check_free_space(run_checkpoints, needed_bytes)
        if folder.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link")
        if folder.exists():
            _write_content(folder, step, tensors, text)
        else:
            _write_folder(folder, step, tensors, text)
    _delete_older(run_checkpoints, keep_last=keep_last)
    return folder


def save_best(best: Path, tensors: Mapping[str, Tensor], values: Mapping[str, JSON]) -> None:
    """Replace the best weights; a crash at any point leaves the old ones or the new ones.

    Args:
        best: the run's ``best/``; made where it is missing.
        tensors: the weights that were scored.
        values: what eval, predict and export need; ``"step"`` says when.

    Raises:
        StorageError: no room, or the disk fails; the old best is still there.
    """
    text = dump_json(values).encode()
    needed_bytes = count_bytes(tensors) + len(text)
    step = values.get("step", 0)
    if not isinstance(step, int):
        raise TypeError(f"step is {step!r}, not a number of steps")
    with storage_errors(best, needed_bytes=needed_bytes):
        _make_folder(best)
        check_free_space(best, needed_bytes)
        _write_content(best, step, tensors, text)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, every bit of it verified before any tensor is used.

    Raises:
        CheckpointError: it is missing, damaged or of a newer format; says what is wrong.
    """
    try:
        manifest = _verify(path)
        return Checkpoint(
            step=manifest.step,
            tensors=read_tensors(path / manifest.files["tensors"].name, manifest.tensors),
            values=_read_values(path / manifest.files["values"].name),
            path=path,
        )
    except PermissionError as error:
        raise StorageError(f"cannot read {path}: permission denied") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def best_weights_sha256(best: Path) -> str:
    """The SHA-256 of a run's best weights, as their manifest says; they are not read.

    Raises:
        CheckpointError: the run has none yet, or the manifest is damaged.
    """
    _check_there(best)
    return Manifest.read(best).files["tensors"].sha256


def load_best(best: Path) -> Checkpoint:
    """Read the best weights of a run, also while the run replaces them.

    Raises:
        CheckpointError: the run has none yet, or they are damaged.
    """
    _check_there(best)
    manifest = best / MANIFEST
    while True:
        seen = manifest.read_bytes()
        try:
            return load_checkpoint(best)
        except CheckpointError:
            if manifest.read_bytes() == seen:
                raise


def _check_there(best: Path) -> None:
    if not (best / MANIFEST).exists():
        raise CheckpointError(
            f"{best.parent} has no best weights yet: no evaluation has ended",
            f"Train on with: zoo train --resume {shlex.quote(str(best.parent))}",
        )


def latest_checkpoint(run_checkpoints: Path, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; damaged ones are renamed ``.corrupt-*`` and said.

    Args:
        run_checkpoints: the run's ``checkpoints/``.
        warn: told about each damaged checkpoint.

    Returns:
        None where no checkpoint was ever written.

    Raises:
        CheckpointError: there are checkpoints and all are damaged, now or before, or the newest
            has a newer format.  Nothing is deleted.
    """
    steps = step_folders(run_checkpoints)
    for folder in reversed(steps):
        try:
            return load_checkpoint(folder)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            warn(f"{error.cause}; kept as {_set_aside(folder).name}, the one before is used")
    if steps or any(run_checkpoints.glob(f"{_CORRUPT}*")):
        raise CheckpointError(
            f"no checkpoint in {run_checkpoints} verifies",
            f"Nothing was deleted ({_CORRUPT}*). Restore the folder from a copy, or start anew.",
        )
    return None


def step_folders(run_checkpoints: Path) -> list[Path]:
    """The folders ``step-N``, oldest first; unverified."""
    if not run_checkpoints.is_dir():
        return []
    steps = {path: _STEP.fullmatch(path.name) for path in run_checkpoints.iterdir()}
    return sorted(
        (path for path, match in steps.items() if match),
        key=lambda path: int(path.name.removeprefix("step-")),
    )


def _write_folder(folder: Path, step: int, tensors: Mapping[str, Tensor], text: bytes) -> None:
    """A checkpoint that is not there until its folder, complete and flushed, gets its name."""
    hidden = folder.with_name(f"{_SAVING}{folder.name}-{secrets.token_hex(4)}")
    hidden.mkdir()
    try:
        _write_content(hidden, step, tensors, text)
        hidden.rename(folder)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _write_content(folder: Path, step: int, tensors: Mapping[str, Tensor], text: bytes) -> None:
    """Write or replace what a folder holds; the rename of the manifest is the commit."""
    try:
        files = {
            "tensors": _write_part(folder, "tensors", "safetensors", safetensors_chunks(tensors)),
            "values": _write_part(folder, "values", "json", [text]),
        }
        sync_folder(folder)
        manifest = Manifest(step, files, describe_tensors(tensors))
        write_atomically(folder / MANIFEST, manifest.to_bytes())
    finally:
        _delete_strangers(folder)


def _write_part(
    folder: Path, role: str, suffix: str, chunks: Iterable[bytes | memoryview]
) -> FileFacts:
    """Write a file and name it by its content."""
    temporary = temporary_name(folder / role)
    written = write_new_file(temporary, chunks)
    name = f"{role}-{written.sha256[:16]}.{suffix}"
    temporary.rename(folder / name)
    return FileFacts(name, written.size_bytes, written.sha256)


def _delete_strangers(folder: Path) -> None:
    """Delete what the manifest in force does not name: the state before, or a broken save."""
    with suppress(OSError, CheckpointError):
        kept = {file.name for file in Manifest.read(folder).files.values()} | {MANIFEST}
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()


def _verify(path: Path) -> Manifest:
    """The manifest of a folder whose files are what it says."""
    manifest = Manifest.read(path)
    for facts in manifest.files.values():
        file = path / facts.name
        check_regular_file(file)
        if file.stat().st_size != facts.size_bytes:
            raise CheckpointError(
                f"{file} is damaged: {file.stat().st_size} bytes instead of {facts.size_bytes}"
            )
        if _sha256(file) != facts.sha256:
            raise CheckpointError(f"{file} is damaged: its SHA-256 does not match")
    return manifest


def _read_values(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(read_regular_file(path, max_bytes=MAX_JSON_BYTES))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged: no values by name")
    return values


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)


def _delete_older(run_checkpoints: Path, *, keep_last: int) -> None:
    """A folder loses its name before its files, so that no half of one is ever seen.

    A deletion that fails does not end a run whose state is safe; the next save tries again.
    """
    with suppress(OSError):
        for folder in step_folders(run_checkpoints)[:-keep_last]:
            hidden = folder.with_name(f"{_DELETING}{folder.name}-{secrets.token_hex(4)}")
            folder.rename(hidden)
            shutil.rmtree(hidden)


def _clear_debris(run_checkpoints: Path) -> None:
    for path in run_checkpoints.iterdir():
        if path.name.startswith((_SAVING, _DELETING)):
            shutil.rmtree(path, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint; in a folder that cannot be written it keeps its name."""
    aside = folder.with_name(f"{_CORRUPT}{folder.name}")
    if aside.exists():
        aside = folder.with_name(f"{aside.name}-{secrets.token_hex(4)}")
    try:
        return folder.rename(aside)
    except OSError:
        return folder
