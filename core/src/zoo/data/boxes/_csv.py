"""Boxes in a table: a line for each box, or for an image without any.

The columns are a path, ``xmin``, ``ymin``, ``xmax``, ``ymax`` (or another of ``_CORNERS`` and
``_SIDES``) in px counted from 0, a class and, if you like, a split and the image's ``width`` and
``height``.  Where no corner of a table exceeds 1, all are fractions of the image's sides.  A line
with empty corners is an image without objects.  Without a first line of names, the columns are
path, x1, y1, x2, y2, class and, if there are seven, split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._faults import MarkedBox, MarkedImage, boxed_splits, stated_size, to_number
from zoo.data.files import SPLIT_NAMES
from zoo.errors import DataError
from zoo.wording import counted

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))
"""The upper left corner, and the sides of the box."""
_PLAIN = ("path", "x1", "y1", "x2", "y2", "label", "split")


def has_corners(cells: Sequence[str]) -> bool:
    """Whether the first line of a table says that there are boxes in it."""
    return _four_of(_spelled(cells)) is not None or _is_plain(cells)


def _spelled(cells: Sequence[str]) -> list[str]:
    """Names of columns as they are compared: ``XMin`` and ``x_min`` are ``xmin``."""
    return [cell.strip().lower().replace("_", "") for cell in cells]


def _four_of(names: Sequence[str]) -> tuple[str, ...] | None:
    """The columns of a box, in order."""
    return next((four for four in (*_CORNERS, *_SIDES) if set(four) <= set(names)), None)


def read_boxed_csv(
    path: Path,
    lines: Sequence[tuple[int, Sequence[str]]],
    *,
    headers: Mapping[str, tuple[str, ...]],
    channels: int,
) -> Mapping[str, BoxedFiles]:
    """The splits of a table of boxes; without a split column, one named "all".

    Args:
        path: of the table, which names are relative to.
        lines: number and cells of each line that is not empty.
        headers: names of the columns "path", "label" and "split".
        channels: to decode to.

    Raises:
        DataError: naming the line.
    """
    columns, rows, by_sides = _columns(path, lines, headers)
    images: dict[str, dict[str, MarkedImage]] = {}
    marked: dict[str, list[MarkedBox]] = {}
    splits: dict[str, tuple[str, int]] = {}
    for line, cells in rows:
        if len(cells) <= max(columns.values()):
            raise DataError(
                f"{path}, line {line} has {counted(len(cells), 'cell')};"
                f" {max(columns.values()) + 1} needed"
            )
        row = {name: cells[at].strip() for name, at in columns.items()}
        name, split = row["path"].replace("\\", "/"), _split(path, line, row)
        first, first_line = splits.setdefault(name, (split, line))
        if first != split:
            raise DataError(
                f"{path}, lines {first_line} and {line}: {name} is in {first} and in {split}",
                "Keep it in one of them.",
            )
        boxes = marked.setdefault(name, [])
        size = stated_size(row.get("height", ""), row.get("width", ""))
        images.setdefault(split, {}).setdefault(
            name, MarkedImage(name, str(path), boxes, size=size)
        )
        corners = [row[name] for name in _PLAIN[1:5]]
        if any(corners):
            x1, y1, x2, y2 = map(to_number, corners)
            if by_sides:
                x2, y2 = x1 + x2, y1 + y2
            boxes.append(MarkedBox((x1, y1, x2, y2), row["label"], f"line {line}"))
    found = {split: list(of.values()) for split, of in images.items()}
    notes: tuple[str, ...] = ()
    if _are_fractions([box for boxes in marked.values() for box in boxes]):
        notes = ("boxes are fractions of the width and height of their images",)
        found = {
            split: [replace(image, fractions=True) for image in of] for split, of in found.items()
        }
    return boxed_splits(path.parent, found, classes=None, channels=channels, notes=notes)


def _are_fractions(boxes: Sequence[MarkedBox]) -> bool:
    """Whether no corner exceeds 1; in px, that would be one pixel in each image."""
    corners = [corner for box in boxes for corner in box.corners if math.isfinite(corner)]
    return bool(corners) and max(map(abs, corners)) <= 1


def _columns(
    path: Path,
    lines: Sequence[tuple[int, Sequence[str]]],
    headers: Mapping[str, tuple[str, ...]],
) -> tuple[dict[str, int], Sequence[tuple[int, Sequence[str]]], bool]:
    """Where what stands, the lines of boxes, and whether they have sides for a second corner."""
    first = lines[0][1]
    names = _spelled(first)
    four = _four_of(names)
    if four is None:
        return {name: at for at, name in enumerate(_PLAIN[: len(first)])}, lines, False
    known = {name: [of.replace("_", "") for of in spelled] for name, spelled in headers.items()}
    known |= {plain: [name] for plain, name in zip(_PLAIN[1:5], four, strict=True)}
    known |= {name: [name] for name in ("width", "height") if name not in four}
    columns = {
        column: names.index(next(name for name in spelled if name in names))
        for column, spelled in known.items()
        if {*spelled} & {*names}
    }
    if not {"path", "label"} <= columns.keys():
        missing = "paths" if "path" not in columns else "classes"
        raise DataError(
            f"{path} has boxes, and no column of {missing}", "Name the columns path and label."
        )
    return columns, lines[1:], four in _SIDES


def _is_plain(cells: Sequence[str]) -> bool:
    """Whether a line is path, four numbers (or nothing), a class and perhaps a split."""
    if len(cells) not in (len(_PLAIN) - 1, len(_PLAIN)):
        return False
    corners = [cell.strip() for cell in cells[1:5]]
    return not any(corners) or not any(math.isnan(to_number(cell)) for cell in corners)


def _split(path: Path, line: int, row: Mapping[str, str]) -> str:
    if "split" not in row:
        return "all"
    split = SPLIT_NAMES.get(row["split"].lower())
    if split is None:
        raise DataError(
            f"{path}, line {line}: {row['split']!r} is no split",
            f"Use {', '.join(sorted(set(SPLIT_NAMES)))}.",
        )
    return split
