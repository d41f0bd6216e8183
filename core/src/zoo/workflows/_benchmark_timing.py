"""Candidates take turns, round by round: whatever else the machine does meets all of them alike."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from zoo.workflows._peak_memory import peak_memory

Steps = Callable[[int], float]
"""Takes so many steps, and gives the seconds that they took, the device's work included."""

_WARM_UP_STEPS = 2
_TURN_S = 0.3
"""How long a turn lasts at least, so that the clock's grain is nothing."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Something to be measured.

    Attributes:
        phase: what it does: "training", "inference", "loader", ...
        name: how it does it; the first candidate of a phase is what the others are compared with.
        start: builds it.
        amount: what a step does: images, or operations.
        precision: that it computes in, where it computes.
        least_steps: of a turn, where starting a turn costs something.
    """

    phase: str
    name: str
    start: Callable[[], Steps]
    amount: float
    precision: str | None = None
    least_steps: int = 1


@dataclass(frozen=True)
class Timing:
    """What was measured of a candidate.

    Attributes:
        step_s: seconds of a step in each round.
        peak_memory_bytes: of what it is made of and its steps; see ``PeakMemory``.
    """

    step_s: Sequence[float]
    peak_memory_bytes: int | None

    @property
    def median_s(self) -> float:
        """Seconds of a step in the middle round."""
        return statistics.median(self.step_s)

    @property
    def fastest_s(self) -> float:
        """Seconds of a step in the fastest round."""
        return min(self.step_s)

    @property
    def spread_fraction(self) -> float:
        """Slowest minus fastest round, relative to the median."""
        return (max(self.step_s) - self.fastest_s) / self.median_s


def take_turns(
    candidates: Sequence[Candidate],
    *,
    rounds: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> list[Timing]:
    """Start every candidate, then measure them round by round."""
    total, done = len(candidates) * (1 + rounds), itertools.count(1)
    started: list[Steps] = []
    memory: list[int | None] = []
    for candidate in candidates:
        with peak_memory(device) as peak:
            started.append(candidate.start())
            started[-1](_WARM_UP_STEPS)
        memory.append(peak.used_bytes)
        progress(next(done), total)
    repeats = [
        max(candidate.least_steps, round(_TURN_S / steps(1)))
        for candidate, steps in zip(candidates, started, strict=True)
    ]
    step_s: list[list[float]] = [[] for _ in candidates]
    for number in range(rounds):
        # Back and forth, so that nobody always follows the same neighbour.
        places = range(len(candidates))
        for place in places if number % 2 else reversed(places):
            step_s[place].append(started[place](repeats[place]) / repeats[place])
            progress(next(done), total)
    return [Timing(*pair) for pair in zip(step_s, memory, strict=True)]


def timed(step: Callable[[], object], device: torch.device) -> Steps:
    """The step, again and again, with a clock."""

    def steps(number: int) -> float:
        wait_for(device)
        start = time.perf_counter()
        for _ in range(number):
            step()
        wait_for(device)
        return time.perf_counter() - start

    return steps


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
