"""Scenes of handwritten digits with exact masks or boxes, made on the fly: nothing to download.

A scene is a grey image with a smooth, noisy background and a few of the embedded digits, enlarged,
of different brightness, none on another.  A mask says 0 for background and 1 + n for the digit n;
a box holds the digit's pixels and nothing more.  The two splits share no digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from zoo.data.builtin._digits import digits
from zoo.data.datasets import Resident, ResidentBoxes, Splits
from zoo.randomness import hash_words, uniform
from zoo.structures import SampleKey

CLASSES = ("background", *"0123456789")
_DIGITS = (3, 5)
"""Least and greatest number of digits that are tried in a scene."""
_SIZES_PX = (20, 24, 28)
_INK = 102
"""Of 255, from which a pixel belongs to its digit."""
_BRIGHTNESS = (90, 190)
_SHADE = 40
_NOISE = np.uint64(24)
_PLACES = 6
"""Tries to find room for a digit."""

Bytes = NDArray[np.uint8]
Bank = dict[int, tuple[Bytes, NDArray[np.int64]]]
"""Digits by their size in px: ink (n, size, size), and labels (n,)."""


def digit_scenes(*, seed: int = 0, train: int = 1500, val: int = 300, size_px: int = 64) -> Splits:
    """The splits "train" and "val", the same ones for one seed.

    Args:
        seed: of the scenes.
        train, val: scenes of each split.
        size_px: height and width of a scene.
    """
    scenes = _both_splits(seed=seed, train=train, val=val, size_px=size_px)
    return {split: _with_masks(of, f"digit-scenes {split}") for split, of in scenes.items()}


def digit_boxes(*, seed: int = 0, train: int = 1500, val: int = 300, size_px: int = 96) -> Splits:
    """The splits "train" and "val" with a box around each digit, the same ones for one seed.

    Args:
        seed: of the scenes.
        train, val: scenes of each split.
        size_px: height and width of a scene.
    """
    scenes = _both_splits(seed=seed, train=train, val=val, size_px=size_px)
    return {split: _with_boxes(of, f"digit-boxes {split}") for split, of in scenes.items()}


def _both_splits(*, seed: int, train: int, val: int, size_px: int) -> dict[str, list[_Scene]]:
    sources = digits()
    return {
        split: list(_scenes(split, _bank(sources[split]), seed=seed, count=count, size_px=size_px))
        for split, count in (("train", train), ("val", val))
    }


def _bank(split: Resident) -> Bank:
    pixels = split.images[:, 0].numpy()
    ink = (pixels * (255 / pixels.max())).astype(np.uint8)
    labels = split.targets["labels"].numpy()
    return {
        size: (np.stack([_enlarged(digit, size) for digit in ink]), labels) for size in _SIZES_PX
    }


def _enlarged(digit: Bytes, size: int) -> Bytes:
    """By Pillow's integers, which are the same on every machine."""
    return np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True, slots=True)
class _Scene:
    """An image and its mask, (size, size), with box and label of each digit."""

    image: Bytes
    mask: Bytes
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)


def _scenes(split: str, bank: Bank, *, seed: int, count: int, size_px: int) -> Iterator[_Scene]:
    draws = uniform(
        seed,
        f"digit scenes {split}",
        [SampleKey(0, index) for index in range(count)],
        5 + _DIGITS[1] * (3 + 2 * _PLACES),
    )
    shape = (size_px, size_px)
    for index, numbers in enumerate(draws):
        grain = hash_words(seed, f"grain {split}", index, np.arange(size_px * size_px)) % _NOISE
        image = (_background(size_px, numbers[1:5]) + grain.reshape(shape)).astype(np.uint8)
        scene = _Scene(image, np.zeros(shape, dtype=np.uint8))
        _place_digits(scene, bank, numbers)
        yield scene


def _with_masks(scenes: Sequence[_Scene], name: str) -> Resident:
    return Resident(
        name=name,
        images=_images(scenes),
        targets={"masks": torch.from_numpy(np.stack([scene.mask for scene in scenes]))},
        classes=CLASSES,
    )


def _with_boxes(scenes: Sequence[_Scene], name: str) -> ResidentBoxes:
    boxes = torch.zeros(len(scenes), _DIGITS[1], 4)
    labels = torch.full((len(scenes), _DIGITS[1]), -1)
    for row, scene in enumerate(scenes):
        found = len(scene.labels)
        if found:
            boxes[row, :found] = torch.tensor(scene.boxes, dtype=torch.float32)
            labels[row, :found] = torch.tensor(scene.labels)
    return ResidentBoxes(
        name=name,
        images=_images(scenes),
        targets={"boxes": boxes, "labels": labels},
        classes=CLASSES[1:],
    )


def _images(scenes: Sequence[_Scene]) -> torch.Tensor:
    return torch.from_numpy(np.stack([scene.image for scene in scenes])[:, None])


def _background(size_px: int, corners: NDArray[np.float64]) -> Bytes:
    """A shade at each corner and what lies between."""
    at = np.linspace(0, 1, size_px)
    top, bottom = (corners[i] * (1 - at) + corners[i + 1] * at for i in (0, 2))
    return np.asarray(_SHADE * (top * (1 - at[:, None]) + bottom * at[:, None])).astype(np.uint8)


def _place_digits(scene: _Scene, bank: Bank, numbers: NDArray[np.float64]) -> None:
    wanted = _DIGITS[0] + int(numbers[0] * (_DIGITS[1] - _DIGITS[0] + 1))
    for draws in numbers[5:].reshape(_DIGITS[1], -1)[:wanted]:
        size = _SIZES_PX[int(draws[0] * len(_SIZES_PX))]
        inks, labels = bank[size]
        which = int(draws[1] * len(labels))
        corner = _free_corner(scene.mask, size, draws[3:].reshape(_PLACES, 2).tolist())
        if corner is None:
            continue
        place = tuple(slice(start, start + size) for start in corner)
        drawn = inks[which] >= _INK
        brightness = _BRIGHTNESS[0] + draws[2] * (_BRIGHTNESS[1] - _BRIGHTNESS[0])
        scene.image[place] += (inks[which] * (brightness / 255)).astype(np.uint8)
        scene.mask[place][drawn] = 1 + labels[which]
        scene.boxes.append(_box_around(drawn, corner))
        scene.labels.append(int(labels[which]))


def _free_corner(
    mask: Bytes, size: int, tries: Sequence[Sequence[float]]
) -> tuple[int, int] | None:
    room = len(mask) - size + 1
    for row, column in tries:
        top, left = int(row * room), int(column * room)
        if room > 0 and not mask[top : top + size, left : left + size].any():
            return top, left
    return None


def _box_around(drawn: NDArray[np.bool_], corner: tuple[int, int]) -> tuple[int, int, int, int]:
    """x1 y1 x2 y2 of the pixels that are drawn; pixel i covers i to i + 1."""
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    top, left = corner
    return (
        left + int(columns[0]),
        top + int(rows[0]),
        left + int(columns[-1]) + 1,
        top + int(rows[-1]) + 1,
    )
