"""The processor cores that this process may use, and how many of them other programs leave it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_TIMES = 8
"""Columns of a core: user, nice, system, idle, iowait, irq, softirq, steal (``man 5 proc``)."""
_IDLE = slice(3, 5)
_SHORTEST_S = 0.05
"""Linux counts in hundredths of a second: a shorter interval says nothing."""


@dataclass(frozen=True)
class CoreTimes:
    """What the cores of this process have done since the machine started.

    Attributes:
        cores: their number.
        total_s: seconds, summed over them.
        left_s: of these, without work or with that of this process and its ended children.
    """

    cores: int
    total_s: float
    left_s: float


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine's under a scheduler."""
    return len(_usable())


def core_times() -> CoreTimes | None:
    """What the cores have done until now; None where the system does not say it."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return None
    rows = {name: row for name, *row in (line.split() for line in lines if line[:3] == "cpu")}
    try:
        times = [[int(ticks) for ticks in rows[f"cpu{core}"][:_TIMES]] for core in _usable()]
    except KeyError:  # in a container that numbers them anew
        return None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return CoreTimes(
        cores=len(times),
        total_s=sum(map(sum, times)) * tick_s,
        left_s=sum(sum(row[_IDLE]) for row in times) * tick_s + sum(os.times()[:4]),
    )


def free_cores(before: CoreTimes | None, after: CoreTimes | None) -> float | None:
    """How many cores other programs left, on average in between; None where that is unknown."""
    if before is None or after is None:
        return None
    total_s = after.total_s - before.total_s
    if total_s < _SHORTEST_S * after.cores:
        return None
    return after.cores * (after.left_s - before.left_s) / total_s


def _usable() -> Sequence[int]:
    """Numbers of the cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else range(os.cpu_count() or 1)
