"""Distributions of which the path holds several versions, as a broken upgrade leaves them.

``importlib.metadata`` takes the first that it meets, without a word: its version may not be that
of the modules, and its plugins may be missing.  Names of folders tell, so nothing is parsed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.hooks import ENTRY_POINT_GROUP

_FOLDER = re.compile(r"(.+?)-(\d[^-]*)(?:-[^-]+)*\.(?:dist|egg)-info")


@dataclass(frozen=True)
class Copy:
    """One installed version of a distribution.

    Attributes:
        folder: of its metadata.
    """

    name: str
    version: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.version} in {self.folder.parent}"

    @property
    def has_plugins(self) -> bool:
        """Whether its metadata say so."""
        try:
            return ENTRY_POINT_GROUP in (self.folder / "entry_points.txt").read_text("utf-8")
        except (OSError, ValueError):
            return False


def several_versions() -> dict[str, list[Copy]]:
    """The copies of each distribution that has several, by ``plain_name``; the first is taken."""
    found: dict[str, dict[str, Copy]] = {}
    for copy in _copies():
        found.setdefault(plain_name(copy.name), {}).setdefault(copy.version, copy)
    return {name: list(by.values()) for name, by in found.items() if len(by) > 1}


def describe_copies(name: str, copies: Mapping[str, list[Copy]]) -> tuple[str, ...]:
    """Version and place of each copy of a distribution that has several; empty for others."""
    return tuple(map(str, copies.get(plain_name(name), ())))


def plain_name(name: str) -> str:
    """The one spelling of a distribution's name, whatever its case and dashes."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _copies() -> Iterator[Copy]:
    """In the order in which ``importlib.metadata`` meets them."""
    for place in dict.fromkeys(sys.path):
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - the order counts
        except OSError:  # an archive, or nothing
            continue
        for name in names:
            if match := _FOLDER.fullmatch(name):
                yield Copy(match[1], match[2], Path(place, name))
