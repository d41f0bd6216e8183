"""The callback behind ``zoo train --profile N``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Self

import torch

from zoo.reporting._profile import PHASES, Profile
from zoo.runs import storage_errors
from zoo.training import Callback, FitResult, Progress

if TYPE_CHECKING:
    from zoo.training import Trainer

WARM_UP = 5
"""Steps before those that count: workers start, kernels are chosen, memory is taken."""
TRACED = 5
"""Steps of the trace, which slows them down and is large."""


class Profiler(Callback):
    """Measures some steps, traces a few more, and leaves the trainer as it was.

    While it measures, each phase waits for the device at both of its ends, so that its time is its
    own; what would have run side by side runs one after the other.  Nothing else changes.

    Use it as a context manager around training: a run that is stopped or fails tells what there is.

    Args:
        steps: to measure.
        folder: for the trace; made when there is one.
        say: told the table, line by line.

    Attributes:
        profile: what was found, once it is.
    """

    def __init__(self, steps: int, folder: Path, say: Callable[[str], None]) -> None:
        self.profile: Profile | None = None
        self._steps, self._folder, self._say = steps, folder, say
        self._done = 0
        self._clock = _PhaseClock(torch.device("cpu"))
        self._unmark: Callable[[], None] = _nothing
        self._tracer: torch.profiler.profile | None = None
        self._at_work = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def on_fit_start(self, trainer: Trainer) -> None:
        """Mark the phases of the trainer."""
        self._clock = _PhaseClock(trainer.device)
        self._unmark = trainer.mark_phases(self._clock.phase)
        self._at_work = True

    def on_step_end(self, trainer: Trainer, progress: Progress) -> None:
        """Go from the warm-up to measuring, to tracing, to the end."""
        self._done += 1
        if self._done == WARM_UP:
            self._clock.start()
        elif self._done == WARM_UP + self._steps:
            self._take_times(self._steps)
            if progress.step < progress.total_steps:
                self._start_trace()
        elif self._done == WARM_UP + self._steps + TRACED:
            self._finish()

    def on_fit_end(self, trainer: Trainer, result: FitResult) -> None:
        """Tell what there is, where the run was shorter."""
        self._end()

    def _end(self) -> None:
        if not self._at_work:
            return
        if self.profile is None and self._done > WARM_UP:
            self._take_times(self._done - WARM_UP)
        if self.profile is None:
            self._say(f"nothing to profile: the run ended in the {WARM_UP} steps of the warm-up")
        self._finish()

    def _take_times(self, steps: int) -> None:
        seconds = self._clock.read()
        times = {phase: 1000 * seconds[phase] / steps for phase in PHASES if phase in seconds}
        self.profile = Profile(steps, times)

    def _start_trace(self) -> None:
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it talks on stderr
        self._tracer = torch.profiler.profile()
        self._tracer.start()
        self._clock.around = torch.profiler.record_function

    def _finish(self) -> None:
        self._unmark()
        self._unmark = _nothing  # which held the trainer
        self._at_work = False
        if self.profile is None:
            return
        if self._tracer is not None:
            self._tracer.stop()
            self.profile = replace(self.profile, trace=self._write_trace(self._tracer))
        for line in self.profile.lines():
            self._say(line)

    def _write_trace(self, tracer: torch.profiler.profile) -> Path:
        path = self._folder / "trace.json.gz"
        with storage_errors(path):
            self._folder.mkdir(exist_ok=True)
            unfinished = path.with_name(f".{path.name}")
            tracer.export_chrome_trace(str(unfinished))
            unfinished.replace(path)
        return path


class _PhaseClock:
    """The time of each phase without that of the phases within it; the rest is "other".

    Attributes:
        around: what is entered with a phase, besides.
    """

    def __init__(self, device: torch.device) -> None:
        self._wait: Callable[[], None] = _nothing
        if device.type != "cpu":
            self._wait = partial(torch.accelerator.synchronize, device)
        self.around: Callable[[str], AbstractContextManager[object]] = nullcontext
        self._phases = ["other"]
        self.start()

    def start(self) -> None:
        """Forget all times."""
        self._wait()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._since = perf_counter()

    def read(self) -> dict[str, float]:
        """Seconds by phase; they add up to those since the start."""
        self._tick()
        return dict(self._seconds)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """In the ``with`` block it is this phase."""
        self._tick()
        self._phases.append(name)
        try:
            with self.around(name):
                yield
        finally:
            self._tick()
            self._phases.pop()

    def _tick(self) -> None:
        self._wait()
        now = perf_counter()
        self._seconds[self._phases[-1]] += now - self._since
        self._since = now


def _nothing() -> None:
    """On the CPU there is nothing to wait for."""
