"""The folder of a pack, which appears whole or not at all, and writes over nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.data.datasets import FileDataset, Source
from zoo.data.packs._files import MANIFEST
from zoo.errors import UsageError
from zoo.runs import folder_lock, storage_errors, sync_folder

_LOCK = "pack.lock"
_SUFFIXES = (".images", ".masks", ".index")


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``output`` at the end of the block, or nothing."""
    folder = output.with_name(f"{output.name}.partial")
    with storage_errors(output), _new_parents(folder):
        _check_ours(folder, output)
        folder.mkdir(exist_ok=True)
        with folder_lock(folder / _LOCK):
            for file in folder.iterdir():
                if file.name != _LOCK:
                    file.unlink()
            try:
                yield folder
                (folder / _LOCK).unlink()
                sync_folder(folder)
                folder.replace(output)
                sync_folder(output.absolute().parent)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise


@contextmanager
def _new_parents(folder: Path) -> Iterator[None]:
    """The folders above a new one; those that were made go again where the block fails."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):  # it was not made, or something else has come into it
                parent.rmdir()
        raise


def check_output(output: Path, source: Source) -> None:
    """Refuse what cannot become a pack, or would be taken for a class when it is one."""
    if output.name in ("", ".."):
        raise UsageError(f"{output} is no name for a new folder", "Name one with --output.")
    if output.is_symlink() or (output.exists() and not output.is_dir()) or _holds_any(output):
        raise UsageError(
            f"{output} is there, and is not an empty folder", "Choose another --output."
        )
    roots = {of.root for of in source.splits.values() if isinstance(of, FileDataset)}
    if source.layout == "folders" and any(
        output.resolve().is_relative_to(root.resolve()) for root in roots
    ):
        raise UsageError(
            f"{output} lies in the source, where each folder is a class",
            "Choose an --output outside.",
        )


def _holds_any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _check_ours(folder: Path, output: Path) -> None:
    """Refuse to write over what no pack has left."""
    if not folder.exists():
        return
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else [folder.name]
    strange = [
        name for name in names if name not in (_LOCK, MANIFEST) and not name.endswith(_SUFFIXES)
    ]
    if strange or (names and _LOCK not in names):
        raise UsageError(
            f"{folder} is where {output} would be written, and holds something else",
            "Choose another --output.",
        )
