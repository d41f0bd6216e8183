"""What the numbers in masks mean: classes from a file of names, or from the numbers themselves.

Without a file of names, the numbers must say it beyond doubt:

- 0 and 255 (or 0 and 65535) alone: background and foreground.
- 0, 1, 2, ... without a gap: class numbers, of which 0 is the background; 255 beside them is
  ignored.
- Anything else, colours among it, is an error that lists what was found: nothing is guessed.

With a file of names, ``classes.txt`` or another of ``CLASS_FILES`` beside the images, each line is
``NAME`` (of the numbers 0, 1, 2, ... in this order), ``NUMBER NAME`` or ``RED GREEN BLUE NAME``; a
CSV has columns ``name`` and ``value``, or ``name``, ``r``, ``g``, ``b``.  The name ``ignored``
says that such pixels count nowhere.  Two names for masks of 0 and 255 are the names of those two.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.data.decoding import COLOUR, Values
from zoo.errors import DataError
from zoo.structures import IGNORED

CLASS_FILES = ("classes.txt", "classes.csv", "class_dict.csv", "label_colors.txt")
_IGNORED_NAME = "ignored"
_WHITE = (255, 65535)
_SHOWN = 8
_VERY_MANY = 16
_NUMBERED = re.compile(r"(\d+)[\s,:]+(\D.*)")
_COLOURED = re.compile(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(\D.*)")


@dataclass(frozen=True)
class MaskClasses:
    """Classes, and the class that each number in a mask file is of.

    Attributes:
        names: of the classes, in the order of their numbers.
        numbers: by what a mask file holds (``decode_mask``), the number of its class, or
            ``IGNORED``.
    """

    names: tuple[str, ...]
    numbers: Mapping[int, int]

    def mask(self, values: Values, path: Path) -> NDArray[np.uint8]:
        """(h, w) class numbers of what ``decode_mask`` gave.

        Raises:
            DataError: a value that is of no class.
        """
        keys = np.array(sorted(self.numbers), dtype=np.int32)
        at = np.searchsorted(keys, values).clip(max=len(keys) - 1)
        strange = keys[at] != values
        if strange.any():
            found, counts = np.unique(values[strange], return_counts=True)
            raise DataError(
                f"{path} has {_listed(dict(zip(found.tolist(), counts.tolist(), strict=True)))},"
                " which no class is",
                f"The classes are {self.described()}.",
            )
        table = np.array([self.numbers[key] for key in keys.tolist()], dtype=np.uint8)
        return np.asarray(table[at])

    def described(self) -> str:
        """As in "0 background, 255 foreground"."""
        words = [
            f"{value_text(value)} {_IGNORED_NAME if number == IGNORED else self.names[number]}"
            for value, number in sorted(self.numbers.items())
        ]
        more = f" and {len(words) - 2 * _SHOWN} more" if len(words) > 2 * _SHOWN else ""
        return ", ".join(words[: 2 * _SHOWN]) + more


def settle_classes(
    pixels: Mapping[int, int], named: Mapping[int, str] | Sequence[str] | None
) -> MaskClasses:
    """What the numbers found in all masks mean.

    Args:
        pixels: how many pixels have each number.
        named: what ``read_class_names`` gave.

    Raises:
        DataError: the numbers do not say what they mean, or some fit no class.
    """
    if isinstance(named, Mapping):
        classes = _of_table(named)
    elif named is not None:
        classes = _of_list(named, pixels)
    else:
        classes = _of_numbers(pixels)
    strange = {value: count for value, count in pixels.items() if value not in classes.numbers}
    if strange:
        raise DataError(
            f"the masks have {_listed(strange)}, which no class is",
            f"The classes are {classes.described()}.",
        )
    return classes


def read_class_names(folder: Path) -> Mapping[int, str] | Sequence[str] | None:
    """The names in a folder's file of classes: by number or colour, in order, or None.

    Raises:
        DataError: the file says nothing that can be understood, or too many classes.
    """
    path = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}", "Save it as UTF-8.") from error
    named = _of_csv(path, text) if path.suffix == ".csv" else _of_lines(text)
    if not named or len(named) > IGNORED:
        raise DataError(f"{path} names {len(named)} classes", f"1 to {IGNORED} can be.")
    return named


def value_text(value: int) -> str:
    """A value as it is written, a colour as "#804000"."""
    return f"#{value - COLOUR:06x}" if value >= COLOUR else str(value)


def _of_table(named: Mapping[int, str]) -> MaskClasses:
    names = tuple(dict.fromkeys(name for name in named.values() if name != _IGNORED_NAME))
    numbers = {
        value: IGNORED if name == _IGNORED_NAME else names.index(name)
        for value, name in named.items()
    }
    for value, number in list(numbers.items()):
        grey = value & 255
        if value >= COLOUR and value == COLOUR + 0x010101 * grey:
            numbers[grey] = number  # an RGB mask of greys alone is read as its grey values
    if not any(value >= COLOUR for value in named):
        numbers.setdefault(IGNORED, IGNORED)
    return MaskClasses(names, numbers)


def _of_list(names: Sequence[str], pixels: Mapping[int, int]) -> MaskClasses:
    if len(names) == 2 and (white := _white(pixels)):
        return MaskClasses(tuple(names), {0: 0, white: 1})
    return _of_table(dict(enumerate(names)))


def _of_numbers(pixels: Mapping[int, int]) -> MaskClasses:
    if white := _white(pixels):
        return MaskClasses(("background", "foreground"), {0: 0, white: 1})
    values = sorted(set(pixels) - {IGNORED})
    if values and values[-1] >= COLOUR:
        raise DataError(
            f"the masks are coloured, {_listed(pixels)}, and nobody says which class a colour is",
            "List them in classes.txt beside the images: RED GREEN BLUE NAME in each line.",
        )
    if values != list(range(len(values))) or not values:
        raise DataError(
            f"the masks have {_listed(pixels)}: numbers that do not say what they mean",
            "List them in classes.txt beside the images: NUMBER NAME in each line; the name"
            " `ignored` is for pixels that count nowhere." + _guess_at_edges(values),
        )
    names = ("background", "foreground") if len(values) == 2 else ("background", *values[1:])
    numbers = {value: value for value in values} | {IGNORED: IGNORED}
    return MaskClasses(tuple(map(str, names)), numbers)


def _white(pixels: Mapping[int, int]) -> int | None:
    """The greater number of masks that hold 0 and white alone."""
    return next((white for white in _WHITE if set(pixels) == {0, white}), None)


def _guess_at_edges(values: Sequence[int]) -> str:
    """A word on what very many grey values mostly are."""
    if len(values) < _VERY_MANY:
        return ""
    return (
        " So many numbers may be soft edges, from a mask that was resized or saved with"
        " antialiasing, or numbers of objects rather than of classes."
    )


def _listed(pixels: Mapping[int, int]) -> str:
    """As in "7 (12 px) and 9 (3 px)"; the most frequent ones of many."""
    frequent = sorted(pixels, key=lambda value: -pixels[value])[:_SHOWN]
    words = [f"{value_text(value)} ({pixels[value]:,} px)" for value in sorted(frequent)]
    more = len(pixels) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _of_lines(text: str) -> Mapping[int, str] | Sequence[str]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if coloured := _all_match(_COLOURED, lines):
        return {
            COLOUR + (int(m[1]) << 16) + (int(m[2]) << 8) + int(m[3]): m[4].strip()
            for m in coloured
        }
    if numbered := _all_match(_NUMBERED, lines):
        return {int(m[1]): m[2].strip() for m in numbered}
    return lines


def _all_match(pattern: re.Pattern[str], lines: Sequence[str]) -> list[re.Match[str]]:
    found = [match for line in lines if (match := pattern.fullmatch(line))]
    return found if len(found) == len(lines) else []


def _of_csv(path: Path, text: str) -> Mapping[int, str]:
    rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    table = [
        {str(key).strip().lower(): str(value or "").strip() for key, value in row.items()}
        for row in rows
    ]
    try:
        if table and {"r", "g", "b"} <= table[0].keys():
            return {
                COLOUR + (int(row["r"]) << 16) + (int(row["g"]) << 8) + int(row["b"]): row["name"]
                for row in table
            }
        return {int(row["value"]): row["name"] for row in table}
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path} cannot be understood: {error}",
            "It needs the columns name and value, or name, r, g and b.",
        ) from None
