"""Masks with a file for each class, ``masks/CLASS/1.png``, read as one: ``masks/*/1.png``.

The files of one mask share a name, and each holds 0 and one other number, which claims the pixel
for the class of its folder.  A pixel that nobody claims is background; one that two claim is an
error.  A class that an image does not show needs no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from zoo.data.decoding import Values, decode_mask
from zoo.data.files import size_bytes, subfolders
from zoo.errors import DataError

_ANY = "*"


def merged_names(masks: Sequence[str]) -> list[str]:
    """Of relative names of masks in class folders, what they are called in any of the folders."""
    parts = [PurePosixPath(name).parts for name in masks]
    return list(dict.fromkeys("/".join(rest) for _, *rest in parts if rest))


def merged_mask(name: str) -> str:
    """Of a name in any of the class folders, the relative name of the mask."""
    return f"{_ANY}/{name}"


def read_mask(path: Path) -> Values:
    """The numbers in a mask; of one with a file for each class, 0 and the classes' from 1 on.

    Returns:
        (h, w) int32, as ``decode_mask``.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    if _ANY not in path.parts:
        return decode_mask(path)
    files = _files_by_class(path)
    merged: Values | None = None
    for number, file in files.items():
        claimed = _claimed(file)
        if merged is None:
            merged = np.zeros(claimed.shape, np.int32)
        if merged.shape != claimed.shape:
            raise DataError(
                f"the files of {path} differ in size, {file} from those before it",
                "Each has a pixel for each pixel of the image.",
            )
        twice = claimed & (merged > 0)
        if twice.any():
            others = " and ".join(files[n].parent.name for n in np.unique(merged[twice]).tolist())
            raise DataError(
                f"{file} claims {int(twice.sum()):,} px that {others} claims as well",
                "A pixel is of one class: let one of them have it.",
            )
        merged[claimed] = number
    if merged is None:
        raise DataError(f"{path} does not exist in any folder", "Add a file for a class.")
    return merged


def mask_size_bytes(path: Path) -> int:
    """Of a mask's file, or of its files for all classes together."""
    files = _files_by_class(path).values() if _ANY in path.parts else [path]
    return sum(map(size_bytes, files))


def _files_by_class(path: Path) -> dict[int, Path]:
    """Those that exist, links to nothing among them."""
    at = path.parts.index(_ANY)
    folders = subfolders(Path(*path.parts[:at]))
    files = [folder.joinpath(*path.parts[at + 1 :]) for folder in folders]
    return {n: file for n, file in enumerate(files, 1) if file.exists() or file.is_symlink()}


def _claimed(file: Path) -> NDArray[np.bool_]:
    values = decode_mask(file)
    greatest = values.max()
    others = np.unique(values[(values > 0) & (values < greatest)])
    if others.size:
        raise DataError(
            f"{file} has the number {others[0]} beside 0 and {greatest}",
            "The mask of one class has 0 and one other number.",
        )
    return np.asarray(values > 0)
