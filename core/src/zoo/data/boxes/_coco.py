"""Boxes of COCO's JSON files: x, y, width and height of each annotation, or around its polygons."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._faults import Corners, MarkedBox, MarkedImage, boxed_splits, to_number
from zoo.data.files import CocoFile, identity, read_coco_files, training_file


def read_coco(
    path: Path, *, channels: int, believe_sizes: bool = False
) -> Mapping[str, BoxedFiles]:
    """The splits of COCO's JSON files in a folder, or the one of a file.

    Args:
        path: of the folder or the file.
        channels: to decode to.
        believe_sizes: do not open every image to see how large it is.

    Raises:
        DataError: no such file, or one that is broken or lacks its lists.
    """
    with _no_collecting():
        files = read_coco_files(path)
        training = training_file(files)
        classes = list(training.categories().values())
        found = {split: _images(file) for split, file in files.items()}
        return boxed_splits(
            training.root, found, classes=classes, channels=channels, believe_sizes=believe_sizes
        )


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Without the collector, which would look through millions of new objects again and again."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _images(file: CocoFile) -> list[MarkedImage]:
    names = file.categories()
    return [
        MarkedImage(
            image.name,
            str(file.path),
            [_box(annotation, place, names) for place, annotation in image.annotations],
            size=image.size,
        )
        for image in file.images()
    ]


def _box(annotation: Mapping[str, Any], place: str, names: Mapping[int, str]) -> MarkedBox:
    """x, y, width and height become corners."""
    box = annotation.get("bbox")
    category = identity(annotation.get("category_id"))
    label = names.get(category, "") if isinstance(category, int) else ""
    fault = "" if label else f"category {category} is not among the categories"
    corners: Corners = (math.nan,) * 4
    if isinstance(box, list) and len(box) == 4:
        x, y, width, height = map(to_number, box)
        corners = (x, y, x + width, y + height)
    elif around := _around(annotation.get("segmentation")) if box in (None, []) else None:
        corners = around
    else:
        fault = f"bbox is {box}, and not x, y, width and height"
    crowd = bool(annotation.get("iscrowd", 0))
    return MarkedBox(corners, label, place, crowd=crowd, fault=fault)


def _around(polygons: object) -> Corners | None:
    """The box around polygons x, y, x, y, ...; None where there are none."""
    if not isinstance(polygons, list) or not all(isinstance(of, list) for of in polygons):
        return None
    across = [to_number(value) for polygon in polygons for value in polygon[0::2]]
    down = [to_number(value) for polygon in polygons for value in polygon[1::2]]
    return (min(across), min(down), max(across), max(down)) if across and down else None
