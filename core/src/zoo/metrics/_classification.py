"""Exact metrics of classification: integer sums that merge, whatever the batches and ranks.

Shapes: b images of a batch, k classes, m bins.  ``predictions`` are logits (b, k); the truth is
``batch.targets["labels"]`` (b,).  Where a batch was mixed, the truth is each image's own label.

Equal logits are ordered by class index, so that ties give one answer; NaN counts as infinite.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import torch

from zoo.metrics._metric import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.structures import Batch

_COUNT_EVERY = 64
"""Batches whose right answers are counted at once; a count for each costs a tiny step dearly."""
_ONE = 1 << 30
"""1.0 in the fixed point of calibration sums: exact in any order up to 2^33 images."""


class Accuracy(Metric):
    """The fraction of images whose label is among the k likeliest classes: "top1", "top5".

    k is capped at the number of classes and named for what it is: with three classes "top5" is
    "top3".  With two it is left out, since it says nothing.

    Args:
        classes: names, in the order of the labels.
        top: the values of k that are wanted.
    """

    def __init__(self, *, classes: Sequence[str], top: tuple[int, ...] = (1, 5)) -> None:
        if not top or min(top) < 1:
            raise ValueError(f"top must hold positive numbers, not {top}")
        wanted = {min(k, len(classes)) for k in top}
        self.top = tuple(k for k in sorted(wanted) if k == 1 or len(classes) > 2)
        self.states = {
            "correct": torch.zeros(len(self.top), dtype=torch.int64),
            "images": torch.zeros((), dtype=torch.int64),
        }

    @property
    def states(self) -> dict[str, Tensor]:
        """The sums over all batches so far."""
        self._count()
        return self._states

    @states.setter
    def states(self, states: dict[str, Tensor]) -> None:
        self._states = states
        self._hits: list[Tensor] = []

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of logits (b, k)."""
        labels = batch.targets["labels"]
        if self.top == (1,):
            hits = (predictions.argmax(1) == labels)[None]
        else:
            ranks = _ranks(predictions, labels)
            hits = torch.stack([ranks < k for k in self.top])
        self._hits.append(hits)
        if len(self._hits) == _COUNT_EVERY:
            self._count()

    def compute(self) -> dict[str, float]:
        """Fractions of 1, NaN where nothing was counted."""
        images = int(self.states["images"])
        return {
            f"top{k}": _ratio(n, images)
            for k, n in zip(self.top, self.states["correct"].tolist(), strict=True)
        }

    def _count(self) -> None:
        """Add the batches that wait: (t, b) each, for t values of k."""
        if self._hits:
            hits = torch.cat(self._hits, dim=1)
            self._hits = []
            self._states["correct"] += hits.sum(1)
            self._states["images"] += hits.shape[1]


class ClassScores(Metric):
    """Precision, recall and F1 of each class, and their plain (macro) means.

    0/0 counts as 0.  A class that occurs neither among the labels nor among the predictions has
    no score and is left out of the means; one that is only predicted stays in, with zeros.
    (scikit-learn's ``average="macro", zero_division=0`` says the same.)

    Args:
        classes: names, in the order of the labels.
    """

    def __init__(self, *, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.states = {
            name: torch.zeros(len(self.classes), dtype=torch.int64)
            for name in ("correct", "predicted", "labelled")
        }

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of logits (b, k)."""
        labels = batch.targets["labels"]
        answers = predictions.argmax(1)
        ones = torch.ones_like(labels)
        self.states["labelled"].index_add_(0, labels, ones)
        self.states["predicted"].index_add_(0, answers, ones)
        self.states["correct"].index_add_(0, labels, (answers == labels).to(labels.dtype))

    def per_class(self) -> dict[str, dict[str, float]]:
        """By class name "precision", "recall", "f1", "images"; absent classes are left out.

        A name that two classes share, such as ImageNet's "crane", gets its label: "crane (134)".
        """
        shared = {name for name, times in Counter(self.classes).items() if times > 1}
        return {
            f"{self.classes[label]} ({label})"
            if self.classes[label] in shared
            else self.classes[label]: scores
            for label, scores in self._scores().items()
        }

    def details(self) -> dict[str, Any]:
        """``per_class``."""
        return {"per_class": self.per_class()}

    def compute(self) -> dict[str, float]:
        """The macro means, NaN where nothing was counted."""
        scores = self._scores().values()
        return {
            f"macro_{key}": _ratio(math.fsum(score[key] for score in scores), len(scores))
            for key in ("precision", "recall", "f1")
        }

    def _scores(self) -> dict[int, dict[str, float]]:
        """Scores by label, of the classes that occur."""
        states = (self.states[name].tolist() for name in ("correct", "predicted", "labelled"))
        return {
            label: {
                "precision": _ratio(correct, predicted, empty=0.0),
                "recall": _ratio(correct, labelled, empty=0.0),
                "f1": _ratio(2 * correct, predicted + labelled, empty=0.0),
                "images": labelled,
            }
            for label, (correct, predicted, labelled) in enumerate(zip(*states, strict=True))
            if predicted or labelled
        }


class ConfusionMatrix(Metric):
    """How often each class was taken for each other one, and Cohen's kappa.

    Kappa (Cohen 1960) is the agreement beyond what chance would give: 1 is perfect, 0 is chance.

    Args:
        classes: names, in the order of the labels; the sums take 8 k^2 bytes.
    """

    def __init__(self, *, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        k = len(self.classes)
        self.states = {"matrix": torch.zeros(k, k, dtype=torch.int64)}

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of logits (b, k)."""
        labels = batch.targets["labels"]
        cells = labels * len(self.classes) + predictions.argmax(1)
        self.states["matrix"].view(-1).index_add_(0, cells, torch.ones_like(cells))

    @property
    def matrix(self) -> Tensor:
        """(k, k) int64: row, the label; column, the prediction."""
        return self.states["matrix"]

    def details(self) -> dict[str, Any]:
        """``matrix`` as "confusion"."""
        return {"confusion": self.matrix.tolist()}

    def compute(self) -> dict[str, float]:
        """Cohen's kappa, NaN where it is undefined (one class only, or no image)."""
        matrix = self.matrix.cpu().to(torch.float64)
        images = float(matrix.sum())
        expected = float(matrix.sum(0) @ matrix.sum(1))
        agreed = float(matrix.diagonal().sum()) * images
        return {"cohen_kappa": _ratio(agreed - expected, images * images - expected)}


class CalibrationError(Metric):
    """Expected calibration error (Guo 2017, arXiv:1706.04599): how far scores are from the truth.

    Each image falls into one of m equal bins (low, high] by its top score; the error is the mean
    over images of the distance, bin by bin, between mean score and accuracy.

    Scores are summed in steps of 2^-30, as integers, so that the order of images changes nothing.

    Args:
        classes: names, in the order of the labels.
        bins: m.
        scores: what turns logits into scores: "softmax", or "sigmoid" for a network that was
            trained by binary cross-entropy.
    """

    falling = frozenset({"ece"})

    def __init__(
        self,
        *,
        classes: Sequence[str],
        bins: int = 15,
        scores: Literal["softmax", "sigmoid"] = "softmax",
    ) -> None:
        if bins < 1:
            raise ValueError(f"bins must be positive, not {bins}")
        self.bins = bins
        self.scores = scores
        self.states = {
            name: torch.zeros(bins, dtype=torch.int64) for name in ("images", "correct", "score")
        }

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of logits (b, k)."""
        labels = batch.targets["labels"]
        logits = predictions.float()
        scores = logits.softmax(1) if self.scores == "softmax" else logits.sigmoid()
        answers = logits.argmax(1)
        fixed = (scores.nan_to_num(0.0).amax(1) * _ONE).round().to(torch.int64)
        bins = ((fixed * self.bins - 1) >> 30).clamp(0, self.bins - 1)
        self.states["images"].index_add_(0, bins, torch.ones_like(bins))
        self.states["correct"].index_add_(0, bins, (answers == labels).to(torch.int64))
        self.states["score"].index_add_(0, bins, fixed)

    def compute(self) -> dict[str, float]:
        """The error as "ece", a fraction of 1; NaN where nothing was counted."""
        correct = self.states["correct"].tolist()
        scores = self.states["score"].tolist()
        error = sum(abs(n * _ONE - score) for n, score in zip(correct, scores, strict=True))
        return {"ece": _ratio(error, int(self.states["images"].sum()) * _ONE)}


def _ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before each image's label, (b,) int64."""
    logits = logits.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    own = logits.gather(1, labels[:, None])
    classes = torch.arange(logits.shape[1], device=logits.device)
    before = (logits > own) | ((logits == own) & (classes < labels[:, None]))
    return before.sum(1)


def _ratio(part: float, whole: float, *, empty: float = float("nan")) -> float:
    return part / whole if whole else empty
