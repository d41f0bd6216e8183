"""How a bad key or value is told: which one, where it came from, what was expected."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tomli_w

from zoo.errors import did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: Iterable[object]) -> str:
    """A path as it is typed: ``training.ema.decay``, with quotes around a part that has dots."""
    return ".".join(_key(str(part)) for part in path)


def _key(text: str) -> str:
    """A key as TOML writes it."""
    return text if _BARE_KEY.fullmatch(text) else tomli_w.dumps({text: 0}).removesuffix(" = 0\n")


def bad_value(name: str, value: Any, origin: str, expected: str) -> str:
    """One line on a value that does not do."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{name} = {shown}{_from(origin)}: expected {expected}"


def unknown_key(name: str, key: str, place: str, known: Collection[str], origin: str = "") -> str:
    """One line on a key that nobody reads.

    Args:
        name: the key as it is typed, with its section.
        place: who does not know it, "[training]" or "the optimizer".
        known: the keys that would do.
    """
    near = did_you_mean(key, known)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"known: {', '.join(sorted(known))}" if known else "there are none"
    return f"unknown key {name}{_from(origin)} of {place}; {hint}"


def expected(error: ErrorDetails) -> str:
    """What pydantic wanted, in the words of the other messages."""
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if error["type"] in ("is_instance_of", "needs_python_object", "callable_type"):
        return "a Python object, which no config can hold"
    plainer = {
        "bool_type": "true or false",
        "missing": "more values",
        "string_too_short": "some text",
    }
    return plainer.get(error["type"], message)


def plain(value: Any) -> Any:
    """A value as config files can hold it: text, numbers, booleans, lists and tables of these.

    Raises:
        ValueError: what was expected instead.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _plain_number(value)
    if isinstance(value, str | os.PathLike):
        text = str(os.fspath(value))
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("text that UTF-8 can hold")
        return text
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("keys that are text")
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    kind = type(value).__name__
    raise ValueError(f"text, a number, true or false, or a list of these, not {kind}")


def _plain_number(value: float) -> float:
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("an integer of 64 bits")
        return int(value)
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return float(value)


def _from(origin: str) -> str:
    return f" ({origin})" if origin else ""
