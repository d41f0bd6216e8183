"""The layouts of data that people have, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.data._csv import read_csv
from zoo.data._files import FileDataset, find_images, subfolders
from zoo.data._folders import read_folders
from zoo.data._mask_folders import holds_masks, read_mask_folders
from zoo.data._stacks import holds_stacks, read_stacks
from zoo.errors import DataError

LAYOUTS: dict[str, Callable[..., Mapping[str, FileDataset]]] = {
    "folders": read_folders,
    "csv": read_csv,
    "masks": read_mask_folders,
    "stacks": read_stacks,
}
"""By name, as in ``layout:path``; each is called with the path and the channels to decode to."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_NOT_READ = {
    "Pascal VOC": {"annotations", "jpegimages"},
    "COCO": {"annotations", "train2017"},
    "YOLO": {"images", "labels"},
}
"""Layouts that would pass for class folders, by the folders (in lower case) that tell them."""


def recognise(path: Path) -> str:
    """The layout of a file or folder.

    Raises:
        DataError: none fits; says what was looked for and what was seen.
    """
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv"):
            return "csv"
        raise _no_source(path)
    if holds_stacks(path):
        return "stacks"
    if holds_masks(path):
        return "masks"
    folders = {folder.name.lower() for folder in subfolders(path)}
    for other, needed in _NOT_READ.items():
        if needed <= folders:
            raise DataError(
                f"{path} looks like {other} ({' and '.join(sorted(needed))}), which is not read",
                f"If these are class folders all the same, say folders:{path}.",
            )
    if folders:
        return "folders"
    tables = sorted([*path.glob("*.csv"), *path.glob("*.tsv")])
    loose = find_images(path)
    raise DataError(
        f"the layout of {path} is not recognised: it has no class folders"
        + (f", and {len(loose)} images in no folder" if loose else ""),
        "Looked for train/CLASS/*.jpg with val, valid, validation or test beside train, for"
        " CLASS/*.jpg, for images/ with masks/, for images.tif with masks.tif, and for a .csv file."
        + (f" Did you mean {tables[0]}?" if tables else ""),
    )


def _no_source(file: Path) -> DataError:
    """What to say of a file that holds no data set, by what it seems to be."""
    suffix = file.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return DataError(
            f"{file} is one file",
            "Give its folder; a stack of images has a stack of masks beside it, as"
            " train-volume.tif has train-labels.tif, or images.tif has masks.tif.",
        )
    return DataError(
        f"{file} is neither a folder nor a .csv or .tsv file",
        "Unpack it, and give the folder."
        if suffix in _ARCHIVES
        else f"Give a folder of class folders, or csv:{file} if it lists path and label.",
    )
