"""The search for files: images in folders, in the order that people expect."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.data.decoding import IMAGE_SUFFIXES, split_page, suffix_of
from zoo.errors import DataError

_OF_SYSTEMS = frozenset(
    ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
"""Folders that operating systems and network drives leave among those of their users."""


def find_images(folder: Path) -> list[str]:
    """Image files under a folder, by their suffix, in natural order, as relative names.

    Hidden files and folders, and those of operating systems, are left out; links are followed, and
    a loop of links only once.
    """
    images = (name for name in find_files(folder) if _is_image(name))
    return sorted(images, key=natural_key)


def find_files(folder: Path) -> Iterator[str]:
    """All files under a folder, in no order, as relative names; left out is what images are."""
    return _walk(folder, "", frozenset())


def loose_images(folder: Path) -> list[str]:
    """Image files in a folder itself, by their suffix, in natural order."""
    names = [
        entry.name
        for entry in os.scandir(folder)
        if _visible(entry.name) and _holds(entry.is_file) and _is_image(entry.name)
    ]
    return sorted(names, key=natural_key)


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, in natural order."""
    found = [
        Path(entry.path)
        for entry in os.scandir(folder)
        if _visible(entry.name) and _holds(entry.is_dir)
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


def size_bytes(path: Path) -> int:
    """Of a file, or of that which a page is in; 0 for a link to nothing: decoding reports it."""
    try:
        return os.stat(split_page(path)[0]).st_size  # noqa: PTH116
    except OSError:
        return 0


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
            if _holds(entry.is_dir):
                yield from _walk(Path(entry.path), f"{name}/", above | {real})
            elif entry.is_symlink() or entry.is_file():  # a pipe would be waited for
                yield name


def _is_image(name: str) -> bool:
    return suffix_of(name) in IMAGE_SUFFIXES


def _holds(is_so: Callable[[], bool]) -> bool:
    """What a ``DirEntry`` says of itself; it raises for a link to itself, which is nothing."""
    try:
        return is_so()
    except OSError:
        return False


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in _OF_SYSTEMS
