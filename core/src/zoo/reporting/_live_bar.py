"""The bar on a terminal: where the epoch is, how well, how fast, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from zoo.reporting._format import format_duration, format_metric
from zoo.training import Progress

_REFRESH_S = 0.1
_SHOWN_METRICS = 2


class LiveBar:
    """A bar for the epoch.  It is redrawn by the training loop at most ten times a second.

    rich's own refreshing thread is not used: loader processes may be forked at any time, and a
    thread that holds the terminal's lock then would leave it locked in them for ever.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
        )
        self._rich = RichProgress(*columns, console=console, auto_refresh=False, transient=True)
        self._task = self._rich.add_task("", total=1, facts="", visible=False)
        self._metrics = ""
        self._first: Progress | None = None
        self._last: Progress | None = None
        self._drawn_s = -math.inf

    def start(self, progress: Progress) -> None:
        """Show the bar."""
        self._first = self._last = progress
        with suppress(OSError):
            self._rich.start()
        self._draw_training(progress)

    def move(self, progress: Progress) -> None:
        """A step was done."""
        self._last = progress
        if self._is_due():
            self._draw_training(progress)

    def show_metrics(self, metrics: Mapping[str, float]) -> None:
        """Training metrics of the epoch so far, "train/loss" first."""
        shown = list(metrics.items())[:_SHOWN_METRICS]
        self._metrics = "  ".join(
            f"{name.rpartition('/')[2]} {format_metric(name, value)}" for name, value in shown
        )
        if self._last:
            self._draw_training(self._last)

    def show_evaluation(self, done: int, total: int) -> None:
        """Images evaluated so far."""
        if self._is_due() or done == total:
            self._draw("evaluating", done, total, "images")

    def stop(self) -> None:
        """Take the bar away and show the cursor again."""
        with suppress(OSError):
            self._rich.stop()

    def _draw_training(self, progress: Progress) -> None:
        facts = [self._metrics, f"lr {progress.learning_rate:.3g}", *self._speed(progress)]
        self._draw(
            f"epoch {progress.epoch}",
            progress.epoch_step,
            progress.steps_per_epoch,
            "  ".join(fact for fact in facts if fact),
        )

    def _speed(self, progress: Progress) -> list[str]:
        """Images per second and the time that is left, from what this process has done."""
        first = self._first or progress
        seconds = progress.elapsed_s - first.elapsed_s
        steps = progress.step - first.step
        if steps <= 0 or seconds <= 0:
            return []
        rest_s = (progress.total_steps - progress.step) * seconds / steps
        images_per_s = (progress.images - first.images) / seconds
        return [f"{images_per_s:.0f} images/s", f"ETA {format_duration(rest_s)}"]

    def _draw(self, description: str, done: int, total: int, facts: str) -> None:
        self._drawn_s = time.monotonic()
        with suppress(OSError):
            self._rich.update(
                self._task,
                description=description,
                completed=done,
                total=total,
                facts=facts,
                visible=True,
            )
            self._rich.refresh()

    def _is_due(self) -> bool:
        return time.monotonic() - self._drawn_s >= _REFRESH_S
