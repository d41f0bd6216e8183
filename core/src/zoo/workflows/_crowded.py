"""What is said before a computation with more threads than other programs leave cores."""

from __future__ import annotations

import os
import time

import torch

from zoo.cores import CoreTimes, core_times, free_cores, usable_cores

_MISSING_CORES = 0.5
"""So many may be missing without a word: something is always going on."""
_SECOND_LOOK_S = 0.3
"""What crowded the cores may have been something short."""


def crowded_line(
    since: CoreTimes | None, device: torch.device, *, cure: str = "OMP_NUM_THREADS={}"
) -> str | None:
    """How many cores other programs leave, and what to do; None where they leave enough.

    Threads share the work of each layer and wait for the last of them: one that has no core of its
    own holds up all.  Their number does not change by itself, for the last bits of what they sum
    depend on it.

    Args:
        since: ``core_times()`` of the beginning of what ends now.
        device: that computes.
        cure: how to set the number of threads, which stands where the braces are.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    enough = threads - _MISSING_CORES
    free = free_cores(since, core_times())
    if free is not None and free < enough:
        time.sleep(_SECOND_LOOK_S)
        free = free_cores(since, core_times())
    if free is None or free >= enough:
        return None
    cure = cure.format(max(1, int(free)))
    return (
        f"other programs leave {free:.1f} of {usable_cores()} cores to {threads} threads, which"
        f" wait for one another: {cure} may be several times faster (with other last digits)"
    )
