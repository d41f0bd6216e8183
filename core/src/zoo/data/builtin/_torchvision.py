"""The well-known data sets that torchvision can fetch, by name.

torchvision knows the layouts and downloads; it is imported only for those that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from zoo.data.builtin._archives import CIFAR, IDX, fetch, read_cifar, read_mnist
from zoo.data.datasets import ImageFiles, Splits
from zoo.data.files import size_bytes
from zoo.data.sources import read_folders
from zoo.errors import DataError

_PHOTOS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "oxford-pets": ("OxfordIIITPet", {"train": "trainval", "test": "test"}),
    "flowers102": ("Flowers102", {"train": "train", "val": "val", "test": "test"}),
    "food101": ("Food101", {"train": "train", "test": "test"}),
}
"""Class in ``torchvision.datasets``, and its names of the splits."""


def torchvision_splits(*, name: str, root: Path, download: bool) -> Splits:
    """The splits of a data set.

    Args:
        name: "cifar10", "cifar100", "mnist", "fashion-mnist", "oxford-pets", "flowers102",
            "food101" or "imagenet".
        root: the data set's own folder.
        download: fetch what is missing.

    Raises:
        DataError: it is not there and is not, or cannot be, downloaded.
    """
    if name in CIFAR:
        return read_cifar(name, fetch(CIFAR[name].archive, root, download=download))
    if name in IDX:
        return read_mnist(name, root, download=download)
    if name == "imagenet":
        return _imagenet(root)
    return _photos(name, root, download=download)


def _photos(name: str, folder: Path, *, download: bool) -> Splits:
    if name == "flowers102":
        _check_scipy(name)
    from torchvision import datasets

    class_name, splits = _PHOTOS[name]
    build: Callable[..., Any] = getattr(datasets, class_name)
    try:
        opened = {
            split: build(folder, split=theirs, download=download)
            for split, theirs in splits.items()
        }
    except (OSError, RuntimeError) as error:
        cure = "" if download else "Add --download to fetch it."
        raise DataError(f"{name} in {folder}: {error}", cure) from error
    return {split: _files(folder, dataset) for split, dataset in opened.items()}


def _files(folder: Path, dataset: Any) -> ImageFiles:
    """Paths and labels, which torchvision keeps under names of its own."""
    paths: Sequence[Path] = getattr(dataset, "_image_files", None) or dataset._images  # noqa: SLF001
    labels: list[int] = dataset._labels  # noqa: SLF001
    classes = getattr(dataset, "classes", None) or [str(n) for n in range(1 + max(labels))]
    return ImageFiles(
        root=folder,
        names=[Path(path).relative_to(folder).as_posix() for path in paths],
        labels=torch.tensor(labels),
        sizes_bytes=[size_bytes(Path(path)) for path in paths],
        classes=tuple(classes),
    )


def _imagenet(folder: Path) -> Splits:
    """ILSVRC 2012 in ``train/WNID`` and ``val/WNID``, with the classes' names."""
    if not (folder / "train").is_dir():
        _unpack_imagenet(folder)
    splits = read_folders(folder, channels=3)
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    classes = tuple(_IMAGENET_CATEGORIES)
    found = splits["train"].classes
    if len(found) != len(classes):
        raise DataError(
            f"{folder} has {len(found)} classes, and ImageNet has {len(classes)}",
            f"For a part of it, say --data folders:{folder}.",
        )
    return {split: replace(dataset, classes=classes) for split, dataset in splits.items()}


def _unpack_imagenet(folder: Path) -> None:
    """Have torchvision unpack the publisher's archives, if they are there."""
    archives = (
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12.tar.gz",
    )
    missing = [name for name in archives if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"ImageNet is not in {folder}: no train folder, and no {', '.join(missing)}",
            "Get the archives from https://image-net.org and put them there, or train/WNID and"
            " val/WNID folders of images.",
        )
    _check_scipy("unpacking ImageNet")
    from torchvision.datasets import ImageNet

    try:
        for split in ("train", "val"):
            ImageNet(folder, split=split)
    except (OSError, RuntimeError) as error:
        raise DataError(f"ImageNet in {folder} cannot be unpacked: {error}") from error


def _check_scipy(what: str) -> None:
    """Before anything is downloaded: labels in MATLAB files cannot be read without it."""
    if find_spec("scipy") is None:
        raise DataError(f"{what} needs scipy", "pip install 'zoo-core[datasets]'")
