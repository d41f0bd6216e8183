"""Load the modules that a verb works with, which stay to the end of the process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Import inside this what loads torch: Python does not look for garbage in it, now or later.

    torch and what works with it are a million objects that stay.  To go through them again and
    again takes an eighth of the time from the start of ``zoo train`` to its first step.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
