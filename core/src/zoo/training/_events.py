"""What a callback may hear, in the order in which it happens.

fit_start → (step_end … → epoch_end → [evaluation_end] → checkpoint_saved)* → fit_end
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training._trainer import Trainer


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run is.

    Attributes:
        step: optimizer steps done.
        epoch: epochs begun, from 1 in what people read.
        epoch_step: steps done in this epoch, of ``steps_per_epoch``.
        total_steps: planned in all.
        learning_rate: of the step just done.
        images: seen by this run, over all processes.
        elapsed_s: of training, earlier parts of a resumed run included.
    """

    step: int
    epoch: int
    epoch_step: int
    steps_per_epoch: int
    total_steps: int
    learning_rate: float
    images: int
    elapsed_s: float


class Callback:
    """Hears what happens in a run; every method does nothing until it is overridden.

    Only rank 0 runs callbacks.  An exception in one ends the run with the callback's name.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Everything is built, nothing has run; on resume, the state is already restored."""

    def on_step_end(self, trainer: Trainer, progress: Progress) -> None:
        """After each optimizer step.  ``trainer.running_metrics()`` waits for the device."""

    def on_log(self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Every ``training.log_every`` steps: training metrics of the epoch so far."""

    def on_epoch_end(
        self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]
    ) -> None:
        """After an epoch and its evaluation: "train/loss", "val/loss", "val/top1", ..."""

    def on_evaluation_progress(self, trainer: Trainer, done: int, total: int) -> None:
        """Images evaluated so far, of ``total``."""

    def on_checkpoint_saved(self, trainer: Trainer, path: Path) -> None:
        """A checkpoint is committed to the disk."""

    def on_message(self, trainer: Trainer, message: str) -> None:
        """Something that a person should read (a fallback, a skipped image)."""

    def on_fit_end(self, trainer: Trainer, result: FitResult) -> None:
        """Training is over, for the reason that the result names."""

    def state_dict(self) -> dict[str, Any]:
        """What a resume must restore, as JSON values; kept in every checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """How training ended.

    Attributes:
        reason: "finished", "max_steps", "time_limit", "patience" or "stopped" (a signal).
        best: the monitored metric's best value, None before the first evaluation.
        best_epoch: in which it was reached.
        metrics: of the last evaluation.
        micro_batch_size: images of a forward pass on one device at the end; None, the whole share.
    """

    reason: str
    steps: int
    epochs: int
    monitor: str
    best: float | None
    best_epoch: int | None
    metrics: Mapping[str, float]
    elapsed_s: float
    micro_batch_size: int | None = None
