"""What an import must leave as it is: state that the whole process shares.

A plugin that changes the working folder or torch's default dtype while it is imported breaks what
comes long after it, and zoo would look like the culprit.  Such changes are undone, and named.

Nothing is said of ``sys.path``, the filters of warnings and the handlers of logging: libraries add
theirs, with reason, and need them later.
"""

from __future__ import annotations

import locale
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_FLOAT = "float32"


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed
        return None


def _dtype() -> str:
    torch = sys.modules.get("torch")
    return str(torch.get_default_dtype()).removeprefix("torch.") if torch else _FLOAT


def _set_dtype(name: str) -> None:
    torch = sys.modules["torch"]
    torch.set_default_dtype(getattr(torch, name))


def _of_sys(name: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return lambda: getattr(sys, name), lambda value: setattr(sys, name, value)


def _of_signal(number: signal.Signals) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return lambda: signal.getsignal(number), lambda handler: signal.signal(number, handler)


_STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "the working folder": (_folder, os.chdir),
    "sys.stdout": _of_sys("stdout"),
    "sys.stderr": _of_sys("stderr"),
    "sys.excepthook": _of_sys("excepthook"),
    "what Ctrl-C does": _of_signal(signal.SIGINT),
    "what SIGTERM does": _of_signal(signal.SIGTERM),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    "torch's default dtype": (_dtype, _set_dtype),
}
"""By their name in messages: what reads each, and what sets it."""


@contextmanager
def process_state_kept() -> Iterator[list[str]]:
    """Undo what a block changes of the process.

    Yields:
        A list that names what was changed, once the block is left.
    """
    before = {name: read() for name, (read, _) in _STATES.items()}
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, (read, restore) in _STATES.items():
            if read() != before[name] and before[name] is not None:
                restore(before[name])
                changed.append(name)
