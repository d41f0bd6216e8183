"""The layouts of data that people have, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zoo.data.boxes import holds_voc, holds_yolo, read_coco, read_voc, read_yolo
from zoo.data.datasets import FileDataset
from zoo.data.files import holds_coco, loose_images, subfolders
from zoo.data.masks import (
    holds_masks,
    holds_stacks,
    read_coco_masks,
    read_mask_folders,
    read_stacks,
)
from zoo.data.packs import holds_pack, read_pack
from zoo.data.sources._csv import read_csv
from zoo.data.sources._folders import read_folders
from zoo.errors import DataError
from zoo.wording import counted

LAYOUTS: dict[str, Callable[..., Mapping[str, FileDataset]]] = {
    "folders": read_folders,
    "csv": read_csv,
    "masks": read_mask_folders,
    "stacks": read_stacks,
    "coco-masks": read_coco_masks,
    "voc": read_voc,
    "coco": read_coco,
    "yolo": read_yolo,
    "packed": read_pack,
}
"""By name, as in ``layout:path``; each is called with the path and the channels to decode to.

``recognise`` never says "coco-masks": a COCO file by itself means its boxes."""

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_SIGNS: dict[str, Callable[[Path], bool]] = {
    "packed": holds_pack,
    "stacks": holds_stacks,
    "masks": holds_masks,
    "yolo": holds_yolo,
    "coco": holds_coco,
    "voc": holds_voc,
}
"""What tells layouts of folders, in the order in which they are asked."""
_NAMED = 3
_BOXED_FILES = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}


def recognise(path: Path) -> str:
    """The layout of a file or folder.

    Raises:
        DataError: none fits; says what was looked for and what was seen.
    """
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv"):
            return "csv"
        if path.suffix.lower() in _BOXED_FILES:
            return _BOXED_FILES[path.suffix.lower()]
        raise _no_source(path)
    found = next((layout for layout, holds in _SIGNS.items() if holds(path)), None)
    if found is not None:
        return found
    folders = subfolders(path)
    inside = [] if len(folders) > 1 else _sources_in(path, folders)
    if folders and not inside:
        return "folders"
    loose = loose_images(path)
    raise DataError(
        f"the layout of {path} is not recognised: it has no class folders"
        + (f", and {counted(len(loose), 'image')} in no folder" if loose else ""),
        "Looked for train/CLASS/*.jpg with val, valid, validation or test beside train, for"
        " CLASS/*.jpg, for images/ with masks/, for images.tif with masks.tif, for boxes as of"
        " COCO, Pascal VOC and YOLO, and for a .csv file."
        + (f" Did you mean {' or '.join(map(str, inside[:_NAMED]))}?" if inside else ""),
    )


def _sources_in(path: Path, folders: Sequence[Path]) -> list[Path]:
    """What may have been meant: tables, and folders of a layout that is no class folder."""
    tables = sorted([*path.glob("*.csv"), *path.glob("*.tsv")])
    return [*tables, *(folder for folder in folders if _is_signed(folder))]


def _is_signed(folder: Path) -> bool:
    try:
        return any(holds(folder) for holds in _SIGNS.values())
    except DataError:  # it is, in a way that reading will refuse
        return True


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
        f"{file} is neither a folder nor a .csv, .tsv, .json or .yaml file",
        "Unpack it, and give the folder."
        if suffix in _ARCHIVES
        else f"Give a folder of class folders, or csv:{file} if it lists path and label.",
    )
