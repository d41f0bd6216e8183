"""Where a run is and what it has reached: the part of its state that is plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RunState:
    """Immutable; each event of the run makes the next one.

    Attributes:
        step: optimizer steps done.
        epoch: epochs completed, their evaluation included.
        epoch_step: steps done of the epoch under way.
        elapsed_s: of training, up to the last checkpoint that this state came from.
        best, best_epoch: of the monitored metric; None before the first evaluation.
        waited: evaluations since the best.
        end: why training is over, once it is.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    elapsed_s: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0
    end: str | None = None

    def after_step(self) -> RunState:
        """One more optimizer step."""
        return replace(self, step=self.step + 1, epoch_step=self.epoch_step + 1)

    def after_epoch(self) -> RunState:
        """One more epoch, evaluated."""
        return replace(self, epoch=self.epoch + 1, epoch_step=0)

    def improves(self, value: float, *, rising: bool) -> bool:
        """Whether a value of the monitored metric is better than the best; NaN never is."""
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value > self.best if rising else value < self.best

    def after_evaluation(self, value: float, *, improved: bool) -> RunState:
        """The monitored metric was measured in the epoch under way."""
        if improved:
            return replace(self, best=value, best_epoch=self.epoch + 1, waited=0)
        return replace(self, waited=self.waited + 1)
