"""What a person reads while a run trains: all of it on stderr.

On a terminal a live bar, and a line for each epoch above it; in a file or in CI the lines alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from rich.console import Console

from zoo.reporting._epoch_line import EpochLine
from zoo.reporting._live_bar import LiveBar
from zoo.reporting._summary import RunSummary, end_lines, start_lines
from zoo.runs import printable
from zoo.training import Callback, FitResult, Progress

if TYPE_CHECKING:
    from zoo.training import Trainer


class ConsoleReporter(Callback):
    """Tells a person how the run goes.  Used as a context manager, it also tidies up on errors.

    Args:
        summary: what is trained on what, for the first lines.
        monitor: the metric that decides which epoch is best, "val/top1".
        mode: whether more or less of it is better.
        stream: where to write; default: stderr.
        live: whether there is a bar; default: on a terminal outside CI.
    """

    def __init__(
        self,
        summary: RunSummary,
        *,
        monitor: str,
        mode: Literal["max", "min"] = "max",
        stream: TextIO | None = None,
        live: bool | None = None,
    ) -> None:
        self.summary = summary
        self._console = _Console(file=stream or sys.stderr, highlight=False)
        live = _is_terminal(self._console) if live is None else live
        self._bar = LiveBar(self._console) if live else None
        self._epochs = EpochLine(monitor, mode, epochs=summary.epochs)

    def on_fit_start(self, trainer: Trainer) -> None:
        """Say what is trained, on what, and where the result goes."""
        progress = trainer.progress
        self._say(*start_lines(self.summary, progress))
        self._epochs.start(progress)
        if self._bar:
            self._bar.start(progress)

    def on_step_end(self, trainer: Trainer, progress: Progress) -> None:
        """Move the bar; the device is not waited for."""
        if self._bar:
            self._bar.move(progress)

    def on_log(self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Show the training metrics of the epoch so far in the bar."""
        if self._bar:
            self._bar.show_metrics(metrics)

    def on_evaluation_progress(self, trainer: Trainer, done: int, total: int) -> None:
        """Show how far the evaluation is."""
        if self._bar:
            self._bar.show_evaluation(done, total)

    def on_epoch_end(
        self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]
    ) -> None:
        """Write the line of the epoch."""
        self._say(self._epochs.format(progress, metrics))

    def on_message(self, trainer: Trainer, message: str) -> None:
        """Pass on what a person should read."""
        self._say(message)

    def on_fit_end(self, trainer: Trainer, result: FitResult) -> None:
        """Say how it ended, what was best, and what can be done with it."""
        self.close()
        self._say(*end_lines(result, self.summary.run))

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, for the mark behind an epoch."""
        return {"best": self._epochs.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._epochs.best = state["best"]

    def close(self) -> None:
        """Take the bar off the terminal; harmless when it is gone."""
        if self._bar:
            self._bar.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _say(self, *lines: str) -> None:
        # A full disk under a log, or a reader that went away, is no reason to stop training.
        with suppress(OSError):
            for line in lines:
                self._console.print(printable(line), markup=False, soft_wrap=True)


class _Console(Console):
    """A console whose reader may go away; rich's own then ends the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def _is_terminal(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
