"""The line of an epoch: columns that stand under each other, without a header.

::

    epoch  1/20   7 s  lr 0.0500  train loss 1.9120 top1 30.11 %  val loss 1.2001 top1 61.20 %  best
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from zoo.reporting._format import format_duration, format_metric
from zoo.training import Progress

_SHOWN = re.compile(r"loss|top\d+")


class EpochLine:
    """Formats epochs, and knows which is the best so far.

    Of each split it shows loss and top-k, and the metric that is monitored.

    Args:
        monitor: the metric that decides, "val/top1".
        mode: "max" or "min".
        epochs: planned.
    """

    def __init__(self, monitor: str, mode: Literal["max", "min"], *, epochs: int) -> None:
        self.best: float | None = None
        self._monitor, self._sign, self._epochs = monitor, -1 if mode == "min" else 1, epochs
        self._elapsed_s = 0.0

    def start(self, progress: Progress) -> None:
        """Time begins to count."""
        self._elapsed_s = progress.elapsed_s

    def format(self, progress: Progress, metrics: Mapping[str, float]) -> str:
        """The line of the epoch that has just ended."""
        seconds = progress.elapsed_s - self._elapsed_s
        self._elapsed_s = progress.elapsed_s
        width = len(str(self._epochs))
        parts = [
            f"epoch {progress.epoch:>{width}}/{self._epochs}",
            f"{format_duration(seconds):>8}",
            f"lr {progress.learning_rate:<8.3g}",
            *self._splits(metrics),
            "best" if self._is_best(metrics) else "",
        ]
        return "  ".join(parts).rstrip()

    def _splits(self, metrics: Mapping[str, float]) -> list[str]:
        splits: dict[str, list[str]] = {}
        for name, value in metrics.items():
            split, _, metric = name.rpartition("/")
            if _SHOWN.fullmatch(metric) or metric == self._monitor.rpartition("/")[2]:
                splits.setdefault(split, []).append(f"{metric} {format_metric(metric, value):>8}")
        return [" ".join([split, *shown]) for split, shown in splits.items()]

    def _is_best(self, metrics: Mapping[str, float]) -> bool:
        value = metrics.get(self._monitor)
        if value is None or not (self.best is None or self._sign * (value - self.best) > 0):
            return False
        self.best = value
        return True
