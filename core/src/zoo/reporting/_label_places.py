"""Where the labels of points go, so that they cover neither one another nor the points.

Each label tries places around its point, near ones first, and takes the one that costs least with
the others where they are; a few passes over all labels settle most collisions.

All lengths are in px, x to the right and y upwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Right of the point first, as one reads."""
_RINGS = 7
"""Distances that are tried, a label's height apart."""
_PASSES = 4
_DIAGONAL = 0.7
_OUTSIDE, _ON_LABEL, _ON_POINT, _FARTHER, _LATER = 50.0, 10.0, 4.0, 0.3, 0.01
"""What it costs to lie wholly out of the frame, on a label, on a point; a ring farther out; and in
the next direction."""


class Box(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def area(self) -> float:
        """0 where it is turned inside out."""
        return max(0.0, self.right - self.left) * max(0.0, self.top - self.bottom)

    def common(self, other: Box) -> float:
        """The area that both cover."""
        return Box(
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            min(self.right, other.right),
            min(self.top, other.top),
        ).area

    def distance(self, disc: Disc) -> float:
        """From its nearest point to the middle of a disc."""
        x = max(self.left - disc.x, 0.0, disc.x - self.right)
        y = max(self.bottom - disc.y, 0.0, disc.y - self.top)
        return math.hypot(x, y)


class Disc(NamedTuple):
    """A point as it is drawn."""

    x: float
    y: float
    radius: float

    @property
    def box(self) -> Box:
        """Around it."""
        x, y, r = self
        return Box(x - r, y - r, x + r, y + r)


def place_labels(
    sizes: Sequence[tuple[float, float]], discs: Sequence[Disc], frame: Box, *, gap: float
) -> list[Box]:
    """A place for each label.

    Args:
        sizes: width and height of each.
        discs: the points that they belong to.
        frame: that they should not leave.
        gap: between a point and its label.
    """
    choices = [list(_around(disc, size, gap)) for disc, size in zip(discs, sizes, strict=True)]
    places = [boxes[0] for boxes in choices]
    for _ in range(_PASSES):
        for i, boxes in enumerate(choices):
            others = places[:i] + places[i + 1 :]
            costs = [
                nearness + _cost(box, others, discs, frame)
                for box, nearness in zip(boxes, _nearness(), strict=True)
            ]
            places[i] = boxes[costs.index(min(costs))]
    return places


def _around(disc: Disc, size: tuple[float, float], gap: float) -> Iterator[Box]:
    """Places ring by ring."""
    width, height = size
    for ring in range(_RINGS):
        for dx, dy in _DIRECTIONS:
            away = (disc.radius + gap + ring * height) * (_DIAGONAL if dx and dy else 1.0)
            x = disc.x + dx * (away + width / 2)
            y = disc.y + dy * (away + height / 2)
            yield Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _nearness() -> Iterator[float]:
    """What the places of ``_around`` cost by themselves."""
    for ring in range(_RINGS):
        for number in range(len(_DIRECTIONS)):
            yield ring * _FARTHER + number * _LATER


def _cost(box: Box, labels: Sequence[Box], discs: Sequence[Disc], frame: Box) -> float:
    outside = box.area - box.common(frame)
    on_labels = sum(map(box.common, labels))
    on_discs = sum(box.common(disc.box) for disc in discs)
    return (_OUTSIDE * outside + _ON_LABEL * on_labels + _ON_POINT * on_discs) / box.area
