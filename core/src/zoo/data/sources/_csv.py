"""A CSV file of path, label (or mask, or box) and perhaps split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from zoo.data.boxes import has_corners, read_boxed_csv
from zoo.data.datasets import FileDataset, ImageFiles
from zoo.data.decoding import split_page
from zoo.data.files import SPLIT_NAMES, natural_key, size_bytes
from zoo.data.masks import Pairs, masked_splits
from zoo.errors import DataError
from zoo.wording import counted

_PATH_HEADERS = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "image",
    "image_path",
    "image_id",
    "img",
)
_LABEL_HEADERS = ("label", "class", "target", "category", "class_name", "label_name")
_MASK_HEADERS = ("mask", "masks", "mask_path", "mask_file", "segmentation")
_SPLIT_HEADERS = ("split", "set", "subset", "fold")
_COLUMNS = (
    "Columns are named path or image, label or mask, split, and of boxes xmin, ymin, xmax, ymax."
)


@dataclass(frozen=True)
class _Row:
    line: int
    name: str
    label: str
    split: str
    is_masked: bool
    """Whether the label is the name of a mask."""


@dataclass(frozen=True)
class _Columns:
    """Where in a line what stands."""

    name: int
    label: int
    split: int | None
    is_masked: bool = False


def read_csv(path: Path, *, channels: int) -> Mapping[str, FileDataset]:
    """The splits that a table of images names; without a split column, one named "all".

    A first line of column names ("path", "label", "split", and their like) is optional: without
    one the columns are path, label, split.  With a column "mask" in the place of labels, the
    images have masks; with columns of corners, boxes (``_boxes_csv``).  Paths are relative to the
    table.

    Raises:
        DataError: naming the line.
    """
    lines = _lines(path)
    if lines and has_corners(lines[0][1]):
        headers = {"path": _PATH_HEADERS, "label": _LABEL_HEADERS, "split": _SPLIT_HEADERS}
        return read_boxed_csv(path, lines, headers=headers, channels=channels)
    rows = list(_rows(path, lines))
    _check_rows(path, rows)
    by_split: dict[str, list[_Row]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append(row)
    if rows[0].is_masked:
        pairs = {
            split: Pairs([(row.name, row.label.replace("\\", "/")) for row in chosen])
            for split, chosen in by_split.items()
        }
        return masked_splits(path.parent, pairs, channels=channels)
    return _labelled_splits(path, by_split, channels=channels)


def _labelled_splits(
    path: Path, by_split: Mapping[str, Sequence[_Row]], *, channels: int
) -> dict[str, ImageFiles]:
    rows = [row for chosen in by_split.values() for row in chosen]
    training = [row.label for row in rows if row.split in ("all", "train")]
    classes = tuple(sorted(set(training), key=natural_key))
    if len(classes) < 2:
        raise DataError(
            f"{path} has {counted(len(classes), 'class')} to train on"
            f"{''.join(f', {name!r}' for name in classes)}; two are needed",
            "The columns are path, label and, if you like, split.",
        )
    for row in rows:
        if row.label not in classes:
            raise DataError(
                f"{path}, line {row.line}: class {row.label!r} is not among those of training",
                f"Training has {', '.join(map(repr, classes[:10]))}.",
            )
    return {
        split: ImageFiles(
            root=path.parent,
            names=[row.name for row in chosen],
            labels=torch.tensor([classes.index(row.label) for row in chosen]),
            sizes_bytes=[size_bytes(path.parent / row.name) for row in chosen],
            classes=classes,
            channels=channels,
        )
        for split, chosen in by_split.items()
    }


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and cells of each line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}", "Save it as UTF-8.") from error
    lines = text.splitlines()
    table = csv.reader(lines, delimiter=_delimiter(path, lines[0] if lines else ""))
    try:
        return [(table.line_num, cells) for cells in table if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {table.line_num}: {error}", "Is there a quote that is never closed?"
        ) from error


def _rows(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Iterator[_Row]:
    columns: _Columns | None = None
    for line, cells in lines:
        if columns is None:
            columns = _header_columns(cells)
            if columns is not None:
                continue
            columns = _Columns(0, 1, 2 if len(cells) > 2 else None)
        yield _row(path, line, [cell.strip() for cell in cells], columns)


def _row(path: Path, line: int, cells: list[str], columns: _Columns) -> _Row:
    name_at, label_at, split_at = columns.name, columns.label, columns.split
    needed = max(name_at, label_at, split_at or 0)
    if len(cells) <= needed or not cells[name_at] or not cells[label_at]:
        raise DataError(
            f"{path}, line {line}: a path and a label are needed, got {','.join(cells)!r}",
            "Paths or labels with commas need quotes.",
        )
    split = "all"
    if split_at is not None:
        split = SPLIT_NAMES.get(cells[split_at].lower(), "")
        if not split:
            raise DataError(
                f"{path}, line {line}: {cells[split_at]!r} is no split",
                f"Use {', '.join(sorted(set(SPLIT_NAMES)))}. {_COLUMNS}",
            )
    name = PurePosixPath(cells[name_at].replace("\\", "/")).as_posix()
    return _Row(line, name, cells[label_at], split, columns.is_masked)


def _check_rows(path: Path, rows: list[_Row]) -> None:
    """Every file exists and has one label and one split."""
    if not rows:
        raise DataError(f"{path} lists no images", "Each line is a path and a label.")
    first: dict[str, _Row] = {}
    for row in rows:
        known = first.setdefault(row.name, row)
        if (known.label, known.split) != (row.label, row.split):
            raise DataError(
                f"{path}, lines {known.line} and {row.line}: {row.name} is listed twice, as"
                f" {known.label!r} in {known.split} and as {row.label!r} in {row.split}",
                f"Keep one of the lines. {_COLUMNS}",
            )
        image = path.parent / row.name
        if known is row and not split_page(image)[0].is_file():
            what = "is no file" if image.exists() else "does not exist"
            raise DataError(
                f"{path}, line {row.line}: {image} {what}",
                f"Paths are relative to the table's folder, {path.parent.absolute()}."
                + f" {_COLUMNS}" * (row.line == 1),
            )


def _header_columns(cells: list[str]) -> _Columns | None:
    """Where path, label and split are, if these cells are column names."""
    names = [cell.strip().lower() for cell in cells]

    def find(known: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in known if name in names), None)

    name_at, label_at, mask_at = map(find, (_PATH_HEADERS, _LABEL_HEADERS, _MASK_HEADERS))
    is_masked = mask_at is not None and label_at is None
    label_at = mask_at if is_masked else label_at
    if name_at is None or label_at is None:
        return None
    return _Columns(name_at, label_at, find(_SPLIT_HEADERS), is_masked)


def _delimiter(path: Path, line: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=line.count)
