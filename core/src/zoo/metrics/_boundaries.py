"""How well the outlines of regions agree: the boundary F1 of Csurka 2013.

Source: Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?",
BMVC 2013.

Differs from the source: pixels are counted over the whole split, so that batches change nothing,
where the paper takes a mean over images; and the tolerance is a number of px, where the paper has a
fraction of the image's diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.metrics._metric import Metric
from zoo.metrics._segmentation import counted, mean_of_known
from zoo.structures import IGNORED, Batch

_NONE = -1
"""Where a map of boundaries has none."""


class BoundaryScores(Metric):
    """Precision, recall and F1 of the boundary pixels of each class.

    A pixel lies on the boundary of its class if a pixel above, below, left or right of it is of
    another one; ignored pixels and the image's border make no boundary.  A boundary pixel is right
    if the other map has one of the same class within ``tolerance_px``.  Precision is the share of
    predicted ones that are right, recall that of the masks', F1 their harmonic mean.  A class
    without a boundary in either is left out.

    Args:
        classes: names, in the order of the masks' numbers.
        ignore_index: number of a class whose pixels count nowhere.
        tolerance_px: greatest distance.
    """

    def __init__(
        self, *, classes: Sequence[str], ignore_index: int = IGNORED, tolerance_px: int = 2
    ) -> None:
        self.classes = tuple(classes)
        self.ignore_index = ignore_index
        self.tolerance_px = tolerance_px
        self.states = {
            name: torch.zeros(len(self.classes), dtype=torch.int64)
            for name in ("predicted", "predicted_right", "labelled", "labelled_right")
        }

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of class numbers (b, h, w)."""
        masks = batch.targets["masks"]
        inside = counted(masks, self.ignore_index)
        labelled, predicted = (_boundaries(maps, inside) for maps in (masks, predictions))
        for name, own, other in (
            ("predicted", predicted, labelled),
            ("labelled", labelled, predicted),
        ):
            near = torch.zeros_like(inside)
            for rows, columns in _offsets(self.tolerance_px):
                near |= own == _shifted(other, rows, columns)
            self._count(name, own, own != _NONE)
            self._count(f"{name}_right", own, near & (own != _NONE))

    def per_class(self) -> dict[str, dict[str, float]]:
        """By class name "boundary_f1", NaN where there is no boundary."""
        rows = zip(*(self.states[name].tolist() for name in self.states), strict=True)
        return {
            name: {"boundary_f1": _f1(*row)} for name, row in zip(self.classes, rows, strict=True)
        }

    def details(self) -> dict[str, Any]:
        """``per_class``."""
        return {"per_class": self.per_class()}

    def compute(self) -> dict[str, float]:
        """The mean over classes as "boundary_f1"."""
        scores = [score["boundary_f1"] for score in self.per_class().values()]
        return {"boundary_f1": mean_of_known(scores)}

    def _count(self, name: str, maps: Tensor, where: Tensor) -> None:
        numbers = maps.clamp(min=0).flatten()
        self.states[name].index_add_(0, numbers, where.flatten().long())


def _boundaries(maps: Tensor, inside: Tensor) -> Tensor:
    """(b, h, w) the class of each boundary pixel, ``_NONE`` elsewhere."""
    known = maps.masked_fill(~inside, _NONE)
    edge = torch.zeros_like(inside)
    for rows, columns in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbour = _shifted(known, rows, columns)
        edge |= (neighbour != _NONE) & (neighbour != known)
    return known.where(edge & inside, torch.full_like(known, _NONE))


def _offsets(radius: int) -> Iterator[tuple[int, int]]:
    """All steps of at most this length."""
    for rows in range(-radius, radius + 1):
        reach = math.isqrt(radius**2 - rows**2)
        for columns in range(-reach, reach + 1):
            yield rows, columns


def _shifted(maps: Tensor, rows: int, columns: int) -> Tensor:
    """The maps moved down and to the right; ``_NONE`` comes in."""
    height, width = maps.shape[-2:]
    moved = torch.full_like(maps, _NONE)
    if abs(rows) < height and abs(columns) < width:
        to = [
            slice(max(0, step), length + min(0, step))
            for step, length in ((rows, height), (columns, width))
        ]
        of = [
            slice(max(0, -step), length + min(0, -step))
            for step, length in ((rows, height), (columns, width))
        ]
        moved[:, to[0], to[1]] = maps[:, of[0], of[1]]
    return moved


def _f1(predicted: int, predicted_right: int, labelled: int, labelled_right: int) -> float:
    if not predicted and not labelled:
        return float("nan")
    precision = predicted_right / predicted if predicted else 0.0
    recall = labelled_right / labelled if labelled else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
