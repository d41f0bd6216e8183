"""Folders that are named as splits."""

from __future__ import annotations

from pathlib import Path

from zoo.data.files._search import subfolders
from zoo.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder names, in lower case, to splits."""


def split_folders(root: Path) -> dict[str, Path]:
    """Folders of ``root`` that are named as splits, by split.

    Raises:
        DataError: two folders stand for one split.
    """
    found: dict[str, Path] = {}
    for folder in subfolders(root):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None:
            continue
        if split in found:
            raise DataError(
                f"{found[split]} and {folder} are both the {split} split", "Rename one of them."
            )
        found[split] = folder
    return found
