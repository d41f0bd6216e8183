"""Class folders: one folder for each class, with or without folders of splits above them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import torch

from zoo.data.datasets import ImageFiles
from zoo.data.files import (
    find_images,
    loose_images,
    natural_key,
    size_bytes,
    split_folders,
    subfolders,
)
from zoo.errors import DataError
from zoo.wording import counted


def read_folders(root: Path, *, channels: int) -> dict[str, ImageFiles]:
    """The splits of class folders; flat class folders are one split named "all".

    A folder of test images that lie in no class folder is no split.

    Raises:
        DataError: no images, fewer than two classes, an empty class, a class that training does
            not have, or splits without a training one.
    """
    splits = split_folders(root)
    if not _has_splits(root, splits):
        return {"all": _read_split(root, root, None, channels)}
    if "train" not in splits:
        found = splits.popitem()[1]
        raise DataError(
            f"{root} has {found.name}, and no train folder",
            f"Put training images into train/CLASS, or name {found} itself for the images in it.",
        )
    train = _read_split(root, splits["train"], None, channels)
    others = {
        split: _read_split(root, folder, train.classes, channels)
        for split, folder in splits.items()
        if split != "train" and not (split == "test" and _is_unlabelled(folder))
    }
    return {"train": train, **others}


def _is_unlabelled(folder: Path) -> bool:
    """Whether a folder holds nothing but images of no class, as competitions have their test."""
    return bool(loose_images(folder)) and not subfolders(folder)


def _has_splits(root: Path, splits: Mapping[str, Path]) -> bool:
    """Whether those folders hold classes; a class of vehicles may be named "train"."""
    others = len(subfolders(root)) - len(splits)
    return any(subfolders(folder) for folder in splits.values()) or (
        "train" in splits and not others
    )


def _read_split(
    root: Path, folder: Path, known: tuple[str, ...] | None, channels: int
) -> ImageFiles:
    """One split; its classes are its folders, or must be among the known ones."""
    by_class = {_class_name(sub.name): (sub, find_images(sub)) for sub in subfolders(folder)}
    if known is None:
        classes = tuple(sorted(by_class, key=natural_key))
        _check_training_classes(folder, by_class)
    else:
        classes = known
        _check_held_out_classes(folder, by_class, known)
    names, labels, sizes = [], [], []
    for label, name in enumerate(classes):
        if name not in by_class:
            continue
        class_folder, files = by_class[name]
        for file in files:
            path = class_folder / file
            names.append(path.relative_to(root).as_posix())
            labels.append(label)
            sizes.append(size_bytes(path))
    return ImageFiles(
        root=root,
        names=names,
        labels=torch.tensor(labels, dtype=torch.int64),
        sizes_bytes=sizes,
        classes=classes,
        channels=channels,
    )


def _check_training_classes(folder: Path, by_class: Mapping[str, tuple[Path, list[str]]]) -> None:
    full = [name for name, (_, files) in by_class.items() if files]
    if not full:
        raise DataError(f"{folder} has no images in class folders", _explain(folder))
    empty = [str(sub) for sub, files in by_class.values() if not files]
    if empty:
        raise DataError(f"no images in {', '.join(empty)}", "Add images, or remove the folder.")
    if len(full) == 1:
        inner = by_class[full[0]][0]
        nested = [sub.name for sub in subfolders(inner) if find_images(sub)]
        cure = (
            f"Did you mean {inner}? It has {len(nested)} folders with images."
            if len(nested) > 1
            else "Put the images of each class into a folder of its own."
        )
        raise DataError(f"{folder} has only one class, {full[0]!r}; two are needed", cure)


def _check_held_out_classes(
    folder: Path, by_class: Mapping[str, tuple[Path, list[str]]], known: tuple[str, ...]
) -> None:
    strange = [name for name, (_, files) in by_class.items() if name not in known and files]
    if strange:
        raise DataError(
            f"{folder} has classes that training has not: {', '.join(map(repr, strange))}",
            f"Training has {', '.join(map(repr, known[:10]))}{', ...' * (len(known) > 10)}.",
        )
    if not any(files for _, files in by_class.values()):
        raise DataError(f"{folder} has no images in class folders", _explain(folder))


def _explain(folder: Path) -> str:
    loose = find_images(folder)
    if loose and not any("/" in name for name in loose):
        return (
            f"It holds {counted(len(loose), 'image')} in no class folder: put each class into a"
            " folder of its own, or list them in a CSV file of path and label."
        )
    return "Looked for folder/class/image.jpg (and .png, .webp, .tif, ...), hidden ones left out."


def _class_name(folder_name: str) -> str:
    """One spelling for accents, which file systems store in two ways."""
    return unicodedata.normalize("NFC", folder_name)
