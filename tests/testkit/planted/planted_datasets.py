"""A data set that keeps the contract, and data sets that break one promise each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zoo.data.datasets import Dataset
from zoo.data.sources import read_folders
from zoo.errors import DataError
from zoo.structures import Sample

IMAGES = 8


@dataclass(frozen=True)
class Stripes:
    """Images of stripes, upright or flat; the last image is what a fault changes.

    Attributes:
        last: what is other about the last image: its "image" or its "label".
    """

    split: str
    classes: tuple[str, ...] = ("upright", "flat")
    last: Any = None

    def __len__(self) -> int:
        return IMAGES

    def load(self, index: int) -> Sample:
        label = index % 2
        image = torch.zeros(3, 8, 8, dtype=torch.uint8)
        image[:, :: 2 - label, :: 1 + label] = 10 * index
        sample = Sample(image, {"labels": label})
        return self.last(sample) if self.last and index == IMAGES - 1 else sample

    def describe(self, index: int) -> str:
        return f"stripes {self.split}[{index}]"

    def fingerprint(self) -> str:
        return f"stripes {self.split}"


def _splits(**changes: Any) -> dict[str, Stripes]:
    return {split: Stripes(split, **changes) for split in ("train", "val")}


def honest(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """The data set that keeps the contract."""
    return _splits()


def odd_split(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """A split that nobody will look for."""
    return {**_splits(), "valid": Stripes("valid")}


def twins(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """Two classes of one name."""
    return _splits(classes=("upright", "upright"))


def disagreeing(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """Other classes to score on than to learn from."""
    return {"train": Stripes("train"), "val": Stripes("val", classes=("flat", "upright"))}


def leaking(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """The images to score on are those to learn from."""
    return {"train": Stripes("train"), "val": Stripes("train")}


def flat_image(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """An image without channels."""
    return _splits(last=lambda sample: replace(sample, image=sample.image[0]))


def wide_image(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """An image of 64-bit floats."""
    return _splits(last=lambda sample: replace(sample, image=sample.image.double()))


def unknown_label(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """A label beyond the classes."""
    return _splits(last=lambda sample: replace(sample, targets={"labels": 2}))


def _noisy(sample: Sample) -> Sample:
    return replace(sample, image=torch.randint(0, 255, sample.image.shape, dtype=torch.uint8))


def noisy(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """An image that is another one each time."""
    return _splits(last=_noisy)


def own_folders(*, root: Path) -> Mapping[str, Dataset]:
    """What people have: images in folders of their classes, not split."""
    return read_folders(root, channels=3)


def absent(*, root: Path, download: bool) -> Mapping[str, Stripes]:
    """Not downloaded yet."""
    raise DataError("the stripes are not here", "Say --download.")
