"""How much memory a piece of work needs at its worst moment, beyond what is in use before it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""To ``clear_refs``: the peak of resident memory starts anew (proc(5))."""


class PeakMemory:
    """The answer of ``peak_memory``, once its block has ended.

    Attributes:
        used_bytes: of the allocator of torch on a CUDA device; of resident memory on the CPU,
            the kernels' scratch space included; None where the system cannot say.
    """

    used_bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the peak of what the block allocates on top of what is there already."""
    answer = PeakMemory()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield answer
        torch.cuda.synchronize(device)
        answer.used_bytes = torch.cuda.max_memory_allocated(device) - before
    elif device.type == "cpu" and _restart_peak():
        before_bytes = _resident_bytes("VmRSS")
        yield answer
        answer.used_bytes = max(0, _resident_bytes("VmHWM") - before_bytes)
    else:
        yield answer


def _restart_peak() -> bool:
    """Whether Linux counts the peak from here on, free memory given back first."""
    if not _CLEAR_REFS.exists():
        return False
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _resident_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
