"""The layouts of data that people have, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.data._csv import read_csv
from zoo.data._files import ImageFiles, find_images, subfolders
from zoo.data._folders import read_folders
from zoo.errors import DataError

LAYOUTS: dict[str, Callable[..., dict[str, ImageFiles]]] = {
    "folders": read_folders,
    "csv": read_csv,
}


def recognise(path: Path) -> str:
    """The layout of a file or folder.

    Raises:
        DataError: none fits; says what was looked for and what was seen.
    """
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv"):
            return "csv"
        raise DataError(
            f"{path} is neither a folder nor a .csv or .tsv file",
            f"Give a folder of class folders, or csv:{path} if it lists path and label.",
        )
    if subfolders(path):
        return "folders"
    tables = sorted([*path.glob("*.csv"), *path.glob("*.tsv")])
    loose = find_images(path)
    raise DataError(
        f"the layout of {path} is not recognised: it has no class folders"
        + (f", and {len(loose)} images in no folder" if loose else ""),
        "Looked for train/CLASS/*.jpg with val, valid, validation or test beside train, for"
        " CLASS/*.jpg, and for a .csv file." + (f" Did you mean {tables[0]}?" if tables else ""),
    )
