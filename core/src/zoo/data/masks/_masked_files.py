"""A split whose images and masks are files, and the survey of what the masks hold."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.datasets import FileDataset
from zoo.data.decoding import COLOUR, Values, upright_size
from zoo.data.masks._by_class import read_mask
from zoo.data.masks._classes import MaskClasses, settle_classes, value_text
from zoo.errors import DataError
from zoo.structures import IGNORED, Sample

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class MaskedFiles(FileDataset):
    """Images by path, with a mask each.

    Attributes:
        mask_names: of the masks' files, relative to the root; "" where an image has none,
            ``masks/*/1.png`` where it has a file for each class.
        mask_sizes_bytes: of those files.
        mask_classes: what their numbers mean.
        faults: what is wrong with the masks that cannot be used, by the image's name.
        pixels: of each class on each image, (n, k + 1); the last column counts ignored ones.
        unused_masks: files that are the mask of no image.
        notes: what one should know of all splits' files.
    """

    truth_word: ClassVar[str] = "mask"

    mask_names: Sequence[str]
    mask_sizes_bytes: Sequence[int]
    mask_classes: MaskClasses
    pixels: NDArray[np.int64]
    faults: Mapping[str, str] = field(default_factory=dict)
    unused_masks: Sequence[str] = ()
    notes: Sequence[str] = ()

    def load(self, index: int) -> Sample:
        """Decode one image and its mask, (h, w) uint8 of class numbers."""
        image = self.image(index)
        path = mask_path(self.root, self.names[index], self.mask_names[index])
        mask = self.mask_classes.mask(read_mask(path), path)
        check_sizes(self.path(index), path, image.shape[-2:], mask.shape)
        return Sample(image, {"masks": torch.from_numpy(mask)})

    def truths(self) -> list[str]:
        """Each image's mask and its size in bytes."""
        files = zip(self.mask_names, self.mask_sizes_bytes, strict=True)
        return [f"{name} {size_bytes}" for name, size_bytes in files]

    def strata(self) -> NDArray[np.int64]:
        """One group: an image has no single class."""
        return np.zeros(len(self), dtype=np.int64)

    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""
        chosen = [int(index) for index in chosen]
        names = [self.names[index] for index in chosen]
        return replace(
            self,
            names=names,
            sizes_bytes=[self.sizes_bytes[index] for index in chosen],
            mask_names=[self.mask_names[index] for index in chosen],
            mask_sizes_bytes=[self.mask_sizes_bytes[index] for index in chosen],
            faults={name: self.faults[name] for name in names if name in self.faults},
            pixels=self.pixels[chosen],
        )


@dataclass(frozen=True)
class MaskSurvey:
    """What some images' masks hold.

    Attributes:
        pixels: of each image, how many pixels have each number (``decode_mask``); nothing of a
            mask that cannot be used.
        faults: what is wrong with those, by the image's name.
    """

    pixels: Sequence[Mapping[int, int]]
    faults: Mapping[str, str]

    def by_class(self, classes: MaskClasses) -> NDArray[np.int64]:
        """(n, k + 1) pixels of each class on each image, and of those that are ignored."""
        counts = np.zeros((len(self.pixels), len(classes.names) + 1), dtype=np.int64)
        for row, found in zip(counts, self.pixels, strict=True):
            for value, count in found.items():
                number = classes.numbers[value]
                row[-1 if number == IGNORED else number] += count
        return counts


def survey_masks(root: Path, pairs: Sequence[tuple[str, str]]) -> MaskSurvey:
    """Decode every mask once, and compare its size with its image's.

    Args:
        root: that the names are relative to.
        pairs: names of image and mask; a mask's is "" where there is none.
    """

    def read(index: int) -> Values:
        image, name = pairs[index]
        mask = mask_path(root, image, name)
        values = read_mask(mask)
        check_sizes(root / image, mask, upright_size(root / image), values.shape)
        return values

    return survey([image for image, _ in pairs], read)


def survey(images: Sequence[str], read: Callable[[int], NDArray[Any]]) -> MaskSurvey:
    """Look at every mask once.

    Args:
        images: their names.
        read: gives the numbers in the mask of an image, by its index.
    """

    def look(index: int) -> Mapping[int, int] | str:
        try:
            return _counts(read(index))
        except DataError as error:
            return error.cause

    # Pillow decodes without holding the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        found = list(pool.map(look, range(len(images))))
    return MaskSurvey(
        [{} if isinstance(answer, str) else answer for answer in found],
        {
            image: answer
            for image, answer in zip(images, found, strict=True)
            if isinstance(answer, str)
        },
    )


def classes_of(
    masks: Sequence[tuple[str, Mapping[int, int]]],
    named: Mapping[int, str] | Sequence[str] | None,
) -> MaskClasses:
    """What the numbers of surveyed masks mean; an error names files where it happens.

    Args:
        masks: name and numbers of each.
        named: what ``read_class_names`` gave.

    Raises:
        DataError: of ``settle_classes``.
    """
    pixels: Counter[int] = Counter()
    for _, found in masks:
        pixels.update(found)
    try:
        return settle_classes(pixels, named)
    except DataError as error:
        rare = min(_unexplained(pixels, named), key=lambda value: pixels[value])
        files = [name for name, found in masks if rare in found]
        shown = ", ".join(files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
        raise DataError(f"{error.cause}; {value_text(rare)} is in {shown}", error.cure) from None


def _unexplained(
    pixels: Mapping[int, int], named: Mapping[int, str] | Sequence[str] | None
) -> Collection[int]:
    """The numbers that no name is given for; all where that is not what is wrong."""
    known = named if isinstance(named, Mapping) else range(len(named or ()))
    return [value for value in pixels if value not in known and value != IGNORED] or pixels


def mask_path(root: Path, image: str, mask: str) -> Path:
    """Of an image's mask.

    Raises:
        DataError: there is none.
    """
    if not mask:
        raise DataError(
            f"{root / image} has no mask",
            "A mask has its image's name, or that with _mask behind it; add it, or leave the image"
            " out with --on-bad-image skip.",
        )
    return root / mask


def check_sizes(image: Path, mask: Path, image_size: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse a mask of another size than its image.

    Raises:
        DataError: says both sizes.
    """
    (height, width), (mask_height, mask_width) = image_size, shape
    if (height, width) == (mask_height, mask_width):
        return
    turned = (height, width) == (mask_width, mask_height)
    raise DataError(
        f"{mask} is {mask_width} x {mask_height} px, and its image {image.name} {width} x {height}",
        "The mask seems to be turned: was the image rotated by its EXIF tag alone?"
        if turned
        else "A mask has a pixel for each pixel of its image.",
    )


def _counts(values: NDArray[Any]) -> Mapping[int, int]:
    if values.max() >= COLOUR:
        found, counts = np.unique(values, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    # Many times as quick as sorting.
    return {value: n for value, n in enumerate(np.bincount(values.ravel()).tolist()) if n}
