"""Names of the pages of TIFF files: ``train-volume.tif[12]`` is the thirteenth."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = re.compile(r"(.+\.tiff?)\[(\d+)\]", re.IGNORECASE)


def page_name(file: str, page: int) -> str:
    """Of a page, which are counted from 0."""
    return f"{file}[{page}]"


def split_page(path: Path) -> tuple[Path, int | None]:
    """The file that a path names, and the page of it; None for a file as a whole.

    >>> split_page(Path("a/b.tif[3]"))
    (PosixPath('a/b.tif'), 3)
    """
    found = _PAGE.fullmatch(path.name)
    return (path, None) if found is None else (path.with_name(found[1]), int(found[2]))
