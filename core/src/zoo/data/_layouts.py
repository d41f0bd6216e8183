"""The layouts of data that people have, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.data._boxes_coco import read_coco
from zoo.data._boxes_voc import holds_voc, read_voc
from zoo.data._boxes_yolo import holds_yolo, read_yolo
from zoo.data._coco import holds_coco, loose_coco_files
from zoo.data._csv import read_csv
from zoo.data._files import FileDataset, loose_images, subfolders
from zoo.data._folders import read_folders
from zoo.data._mask_folders import holds_masks, read_mask_folders
from zoo.data._masks_coco import read_coco_masks
from zoo.data._packed import holds_pack, read_pack
from zoo.data._stacks import holds_stacks, read_stacks
from zoo.errors import DataError

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
    inside = [
        *sorted([*path.glob("*.csv"), *path.glob("*.tsv")]),
        *loose_coco_files(path),
        *(sub for sub in folders if any(holds(sub) for holds in _SIGNS.values())),
    ]
    if len(folders) > 1 or (folders and not inside):
        return "folders"
    loose = loose_images(path)
    raise DataError(
        f"the layout of {path} is not recognised: it has no class folders"
        + (f", and {len(loose)} images in no folder" if loose else ""),
        "Looked for train/CLASS/*.jpg with val, valid, validation or test beside train, for"
        " CLASS/*.jpg, for images/ with masks/, for images.tif with masks.tif, for boxes as of"
        " COCO, Pascal VOC and YOLO, and for a .csv file."
        + (f" Did you mean {' or '.join(map(str, inside[:_NAMED]))}?" if inside else ""),
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
        f"{file} is neither a folder nor a .csv, .tsv, .json or .yaml file",
        "Unpack it, and give the folder."
        if suffix in _ARCHIVES
        else f"Give a folder of class folders, or csv:{file} if it lists path and label.",
    )
