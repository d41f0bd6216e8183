"""Boxes in a table: a line for each box, or for an image without any.

The columns are a path, ``xmin``, ``ymin``, ``xmax``, ``ymax`` (or ``x1`` to ``y2``) in px counted
from 0, a class and, if you like, a split and the image's ``width`` and ``height``.  A line with
empty corners is an image without objects.  Without a first line of names, the columns are path, x1,
y1, x2, y2, class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._faults import MarkedBox, MarkedImage, boxed_splits, stated_size, to_number
from zoo.data.files import SPLIT_NAMES
from zoo.errors import DataError
from zoo.wording import counted

_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
_PLAIN = ("path", "x1", "y1", "x2", "y2", "label")


def has_corners(cells: Sequence[str]) -> bool:
    """Whether the first line of a table says that there are boxes in it."""
    names = {cell.strip().lower() for cell in cells}
    return any(names.issuperset(four) for four in _CORNERS) or _is_plain(cells)


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
    columns, rows = _columns(path, lines, headers)
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
            boxes.append(MarkedBox((x1, y1, x2, y2), row["label"], f"line {line}"))
    found = {split: list(of.values()) for split, of in images.items()}
    return boxed_splits(path.parent, found, classes=None, channels=channels)


def _columns(
    path: Path,
    lines: Sequence[tuple[int, Sequence[str]]],
    headers: Mapping[str, tuple[str, ...]],
) -> tuple[dict[str, int], Sequence[tuple[int, Sequence[str]]]]:
    """Where what stands, and the lines of boxes."""
    first = lines[0][1]
    if _is_plain(first):
        return {name: at for at, name in enumerate(_PLAIN)}, lines
    names = [cell.strip().lower() for cell in first]
    four = next(four for four in _CORNERS if set(four) <= set(names))
    known = {**headers, **{plain: (name,) for plain, name in zip(_PLAIN[1:5], four, strict=True)}}
    known |= {"width": ("width",), "height": ("height",)}
    columns = {
        column: names.index(next(name for name in spelled if name in names))
        for column, spelled in known.items()
        if {*spelled} & {*names}
    }
    if not {"path", "label"} <= columns.keys():
        raise DataError(f"{path} has boxes, and no column of paths or of classes")
    return columns, lines[1:]


def _is_plain(cells: Sequence[str]) -> bool:
    """Whether a line is path, four numbers (or nothing) and a class."""
    if len(cells) != len(_PLAIN):
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
