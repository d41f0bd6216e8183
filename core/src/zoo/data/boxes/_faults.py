"""From annotations as files have them to a split: sizes are looked up, and every box is judged.

====================================  ============  =================  =================
a box that                            ``fail``      ``clip``           ``skip``
====================================  ============  =================  =================
reaches at most 1 px out              is clipped    is clipped         is clipped
reaches further out                   error         is clipped         is left out
lies outside, has no area, is         error         is left out        is left out
inverted, has no number (NaN), or
is of an unknown class
------------------------------------  ------------  -----------------  -----------------
an annotation that cannot be read     error         image left out     image left out
another size than the image's         error         not believed       not believed
====================================  ============  =================  =================
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.data.boxes._boxed_files import BadBox, BoxedFiles
from zoo.data.boxes._objects import Objects, ObjectTable
from zoo.data.decoding import upright_size
from zoo.data.files import natural_key, size_bytes
from zoo.errors import DataError

_ROUNDING_PX = 1.0
"""That a box may reach out of its image: by rounding, or by counting from 0 or from 1."""

Corners = tuple[float, float, float, float]
Numbers = NDArray[np.float64]
Sizes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MarkedBox:
    """A box as a file has it.

    Attributes:
        corners: x1 y1 x2 y2; NaN for what is no number.
        label: name of its class.
        place: where it stands in the file ("object 3").
        crowd, difficult: as in ``Objects``.
        fault: what is wrong with it, if reading found that already.
    """

    corners: Corners
    label: str
    place: str
    crowd: bool = False
    difficult: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class MarkedImage:
    """An image as annotations have it.

    Attributes:
        name: of its file, relative to the root.
        source: file that the annotation is from, for messages.
        boxes: of its objects.
        size: height and width that the annotation states; None where it states none.
        fractions: whether corners are fractions of width and height.
        fault: why the annotation cannot be used at all.
    """

    name: str
    source: str
    boxes: Sequence[MarkedBox] = field(default_factory=tuple)
    size: tuple[int, int] | None = None
    fractions: bool = False
    fault: str = ""


def boxed_splits(
    root: Path,
    found: Mapping[str, Sequence[MarkedImage]],
    *,
    classes: Sequence[str] | None,
    channels: int,
    notes: tuple[str, ...] = (),
    believe_sizes: bool = False,
) -> dict[str, BoxedFiles]:
    """Splits of images with boxes, once the size of every image is known.

    Args:
        root: that names are relative to.
        found: images of each split; one split is named "all".
        classes: names, in the order of their labels; None takes those of the training boxes.
        channels: to decode to.
        notes: how the annotations were understood.
        believe_sizes: take the sizes that annotations state; loading refuses images of another.

    Raises:
        DataError: no images, no training split, or no classes.
    """
    if not any(found.values()):
        raise DataError(f"{root} has no images with boxes", "See docs/data.md for the layouts.")
    if "all" not in found and "train" not in found:
        raise DataError(f"{root} has {', '.join(found)}, and no train split", "Add train images.")
    training = found["all"] if "all" in found else found["train"]
    if classes is None:
        labels = {box.label for of in training for box in of.boxes if box.label}
        classes = sorted(labels, key=natural_key)
    if not classes or not any(image.boxes for images in found.values() for image in images):
        raise DataError(f"no image of {root} has a box", _why_none(training))
    return {
        split: _boxed_split(
            root, images, tuple(classes), channels, notes, believe_sizes=believe_sizes
        )
        for split, images in found.items()
    }


def _why_none(images: Sequence[MarkedImage]) -> str:
    """What most likely helps where no image has a box."""
    faults = [image.fault for image in images if image.fault]
    if not faults:
        return f"Those of {images[0].name} are expected in {images[0].source}." if images else ""
    more = f", and {len(faults) - 1} more cannot be read" if len(faults) > 1 else ""
    return f"{faults[0]}{more}."


def _boxed_split(
    root: Path,
    images: Sequence[MarkedImage],
    classes: tuple[str, ...],
    channels: int,
    notes: tuple[str, ...],
    *,
    believe_sizes: bool,
) -> BoxedFiles:
    _check_each_once(root, images)
    lengths = [size_bytes(root / image.name) for image in images]
    sizes, unreadable = _look_up_sizes(root, images, lengths, believe_sizes=believe_sizes)
    objects, bad = _judge(images, sizes, {name: number for number, name in enumerate(classes)})
    return BoxedFiles(
        root=root,
        names=[image.name for image in images],
        sizes_bytes=lengths,
        classes=classes,
        channels=channels,
        objects=objects,
        sizes_px=sizes,
        # Of an image that is not there, nothing more is to be said.
        bad_boxes=[of for of in bad if of.image not in unreadable],
        faults={image.name: image.fault for image in images if image.fault},
        unreadable=unreadable,
        notes=notes,
    )


def _check_each_once(root: Path, images: Sequence[MarkedImage]) -> None:
    """See that no image of a split is there twice: boxes are found again by their image's name.

    Raises:
        DataError: naming the first that is.
    """
    counts = Counter(image.name for image in images)
    if twice := next((name for name, times in counts.items() if times > 1), None):
        raise DataError(
            f"{root / twice} is there {counts[twice]} times in one split",
            "Name it once, with all its boxes.",
        )


def _look_up_sizes(
    root: Path, images: Sequence[MarkedImage], lengths: Sequence[int], *, believe_sizes: bool
) -> tuple[Sizes, dict[str, str]]:
    """(n, 2) height and width of each image, 0 where it cannot be read, and why it cannot."""

    def look(image: MarkedImage, length: int) -> tuple[int, int] | str:
        stated = image.size
        if believe_sizes and length and stated is not None and stated != (0, 0):
            return stated
        try:
            height, width = upright_size(root / image.name)
        except DataError as error:
            return error.cause
        return height, width

    # Files are opened without holding the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        answers = list(pool.map(look, images, lengths))
    sizes = [(0, 0) if isinstance(answer, str) else answer for answer in answers]
    unreadable = {
        image.name: answer
        for image, answer in zip(images, answers, strict=True)
        if isinstance(answer, str)
    }
    return np.array(sizes, dtype=np.int64).reshape(-1, 2), unreadable


def _judge(
    images: Sequence[MarkedImage], sizes: Sizes, numbers: Mapping[str, int]
) -> tuple[ObjectTable, list[BadBox]]:
    """The objects of each image, and what is wrong with them."""
    counts = np.array([len(image.boxes) for image in images], dtype=np.int64)
    boxes = [box for image in images for box in image.boxes]
    owners = np.repeat(np.arange(len(images)), counts)
    corners = np.array([box.corners for box in boxes], dtype=np.float64).reshape(-1, 4)
    limits = np.tile(sizes[owners][:, ::-1], 2)
    fractions = np.array([image.fractions for image in images], dtype=np.bool_)[owners]
    with np.errstate(invalid="ignore", over="ignore"):  # what comes of it is no good box
        corners[fractions] *= limits[fractions]
        # As they are kept: of a box whose side rounding makes 0 no area is left.
        corners = corners.astype(np.float32).astype(np.float64)
    inside = np.clip(corners, 0, limits)
    labels = np.array([numbers.get(box.label, -1) for box in boxes], dtype=np.int64)
    found_bad = np.array([bool(box.fault) for box in boxes], dtype=np.bool_)
    wrong = ~_are_good(corners, inside) | found_bad | (labels < 0)
    bad = [_wrong_size(image, size) for image, size in zip(images, sizes.tolist(), strict=True)]
    faults = [of for of in bad if of is not None]
    firsts = np.cumsum(counts) - counts
    for row in np.flatnonzero(wrong).tolist():
        image, box = images[owners[row]], boxes[row]
        height, width = sizes[owners[row]].tolist()
        fault, mendable = find_fault(corners[row].tolist(), height, width)
        if labels[row] < 0:
            unknown = f"class {box.label!r} is not among those of training"
            fault, mendable = unknown if box.label else "it has no class", False
        if box.fault:
            fault, mendable = box.fault, False
        clipped = tuple(inside[row].tolist()) if mendable else ()
        cause = f"{image.source}, {box.place}: {fault}"
        faults.append(BadBox(image.name, row - int(firsts[owners[row]]), cause, clipped))
    shown = np.where(wrong[:, None], corners, inside).astype(np.float32)
    crowd = np.array([box.crowd for box in boxes], dtype=np.bool_)
    difficult = np.array([box.difficult for box in boxes], dtype=np.bool_)
    return ObjectTable(Objects(shown, labels, crowd, difficult), counts), faults


def _are_good(corners: Numbers, inside: Numbers) -> NDArray[np.bool_]:
    """(n,) whether ``find_fault`` finds nothing, for most boxes at once."""
    with np.errstate(invalid="ignore"):  # of infinite corners
        ordered = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        shown = (inside[:, 2:] > inside[:, :2]).all(axis=1)
        near = (np.abs(corners - inside) <= _ROUNDING_PX).all(axis=1)
    return np.asarray(ordered & shown & near)


def find_fault(corners: Corners, height: int, width: int) -> tuple[str, bool]:
    """What is wrong with a box, "" for nothing, and whether clipping it mends that."""
    x1, y1, x2, y2 = corners
    shown = "(" + ", ".join(f"{value:g}" for value in corners) + ")"
    if not all(map(math.isfinite, corners)):
        return f"the box {shown} is not made of numbers", False
    if x2 < x1 or y2 < y1:
        return f"the box {shown} is inverted: x2 and y2 must be greater than x1 and y1", False
    if x2 == x1 or y2 == y1:
        return f"the box {shown} has no area", False
    inside = clip(corners, height, width)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return f"the box {shown} lies outside of the image, {width} x {height} px", False
    out = max(-x1, -y1, x2 - width, y2 - height)
    if out > _ROUNDING_PX:
        return f"the box {shown} reaches out of the image, {width} x {height} px", True
    return "", False


def clip(corners: Corners, height: int, width: int) -> Corners:
    """The part of a box that lies in the image."""
    x1, y1, x2, y2 = corners
    return (
        min(max(x1, 0.0), width),
        min(max(y1, 0.0), height),
        min(max(x2, 0.0), width),
        min(max(y2, 0.0), height),
    )


def to_number(text: object) -> float:
    """The number that a file says; NaN for what is none."""
    if isinstance(text, float):
        return text
    try:
        return float(str(text).strip())
    except ValueError:
        return math.nan


def stated_size(height: object, width: object) -> tuple[int, int] | None:
    """The size that a file says, or None where one side is no number."""
    sides = to_number(height), to_number(width)
    return None if any(map(math.isnan, sides)) else (round(sides[0]), round(sides[1]))


def _wrong_size(image: MarkedImage, size: Sequence[int]) -> BadBox | None:
    """That an image has another size than its annotation states, if it is so."""
    if image.size in (None, (0, 0), tuple(size)):
        return None
    height, width = image.size or (0, 0)
    stated = f"{image.name} is said to be {width} x {height} px, and is {size[1]} x {size[0]}"
    turned = [height, width] == [size[1], size[0]]
    hint = " (turned, perhaps by its EXIF tag)" if turned else ""
    return BadBox(image.name, -1, f"{image.source}: {stated}{hint}")
