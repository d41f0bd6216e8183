"""Exact metrics of segmentation, from integers that merge, whatever the batches and ranks.

Shapes: b images of a batch, h w px, k classes.  ``predictions`` are class numbers (b, h, w); the
truth is ``batch.targets["masks"]`` (b, h, w), where ``IGNORED`` pixels, padding included, count
nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.metrics._metric import Metric
from zoo.structures import IGNORED, Batch

_NAN = float("nan")


class RegionScores(Metric):
    """IoU and Dice of each class, their means, and pixel accuracy, from one confusion matrix.

    For class c with TP pixels of c predicted as c, L pixels of c and P predicted as c:
    IoU = TP / (L + P - TP), Dice = 2 TP / (L + P).  A class that is neither among the masks nor
    among the predictions has neither, and is left out of the means; one that is only predicted
    stays in, with zeros.  (scikit-learn's ``jaccard_score`` and ``f1_score`` with
    ``average="macro"`` say the same on the flattened pixels.)

    Args:
        classes: names, in the order of the masks' numbers; the first one is the background.
        ignore_index: number of a class whose pixels count nowhere.
    """

    def __init__(self, *, classes: Sequence[str], ignore_index: int = IGNORED) -> None:
        self.classes = tuple(classes)
        self.ignore_index = ignore_index
        k = len(self.classes)
        self.states = {"matrix": torch.zeros(k, k, dtype=torch.int64)}

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of class numbers (b, h, w)."""
        k, masks = len(self.classes), batch.targets["masks"]
        cells = torch.where(counted(masks, self.ignore_index), masks * k + predictions, k * k)
        # What is ignored falls into a cell of its own, so that nothing waits for a size.
        counts = torch.zeros(k * k + 1, dtype=torch.int64, device=masks.device)
        counts.index_add_(0, cells.flatten(), torch.ones_like(cells.flatten()))
        self.states["matrix"] += counts[:-1].view(k, k)

    @property
    def matrix(self) -> Tensor:
        """(k, k) int64 pixels: row, the mask's class; column, the predicted one."""
        return self.states["matrix"]

    def per_class(self) -> dict[str, dict[str, float]]:
        """By class name "iou", "dice" and "pixels"; scores of a class that never occurs are NaN."""
        matrix = self.matrix.tolist()
        return {
            name: _region_scores(matrix[c][c], sum(matrix[c]), sum(row[c] for row in matrix))
            for c, name in enumerate(self.classes)
        }

    def details(self) -> dict[str, Any]:
        """``per_class``, the matrix as "confusion", and a note on classes that never occur."""
        scores = self.per_class()
        absent = [name for name, of in scores.items() if math.isnan(of["iou"])]
        notes = []
        if absent:
            which = "a class" if len(absent) == 1 else "classes"
            notes.append(
                f"{', '.join(absent)}: {which} that neither a mask nor a prediction has,"
                " left out of the means"
            )
        return {"per_class": scores, "confusion": self.matrix.tolist(), "notes": notes}

    def compute(self) -> dict[str, float]:
        """The means "miou" and "mdice", also without the first class, and "pixel_accuracy"."""
        scores = list(self.per_class().values())
        means = {
            f"m{key}{ending}": mean_of_known([score[key] for score in chosen])
            for ending, chosen in (("", scores), ("_foreground", scores[1:]))
            for key in ("iou", "dice")
        }
        right, pixels = int(self.matrix.diagonal().sum()), int(self.matrix.sum())
        return {**means, "pixel_accuracy": right / pixels if pixels else _NAN}


def counted(masks: Tensor, ignore_index: int = IGNORED) -> Tensor:
    """Which pixels of masks are of a class that counts, bool."""
    return (masks != IGNORED) & (masks != ignore_index)


def _region_scores(right: int, labelled: int, predicted: int) -> dict[str, float]:
    union, both = labelled + predicted - right, labelled + predicted
    return {
        "iou": right / union if union else _NAN,
        "dice": 2 * right / both if both else _NAN,
        "pixels": labelled,
    }


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else _NAN
