"""Pillow without its warnings, in any number of threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_scope: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore the warnings of Pillow's own modules, and of nobody else, in any number of threads.

    ``catch_warnings`` alone is not safe with threads: it would put back the filters of another.
    """
    global _quiet_depth, _quiet_scope  # noqa: PLW0603
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_scope = warnings.catch_warnings()
            _quiet_scope.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_scope is not None:
                _quiet_scope.__exit__(None, None, None)
                _quiet_scope = None
