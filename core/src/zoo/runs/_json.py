"""JSON that gives back exactly what it was given, or refuses.

Python's ``json`` changes some values silently: integer keys become strings, and NaN becomes text
that is no JSON.  Here floats return bit for bit, non-finite ones as ``{"$float": "nan"}``, integers
of any size, and what would be changed is refused.  Only tuples change: they return as lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

_FLOAT = "$float"
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def dump_json(value: JSON, *, indent: int | None = 1) -> str:
    """Text of a value, with a line end.

    Raises:
        TypeError: something in it is no JSON value; the message says where.
    """
    return json.dumps(_encode(value, "value"), indent=indent, allow_nan=False) + "\n"


def parse_json(text: str | bytes) -> Any:
    """The value of a text that ``dump_json`` wrote.

    Raises:
        ValueError: it is no JSON, or nested too deeply to be honest.
    """
    try:
        return json.loads(text, object_hook=_decode, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _encode(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, Mapping):
        return {_key(key, where): _encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{where} is a {type(value).__name__}, which JSON cannot keep")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; JSON keeps text keys only")
    if key == _FLOAT:
        raise TypeError(f"{where} has the key {key!r}, which stands for NaN and infinity here")
    return key


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() == {_FLOAT} and value[_FLOAT] in _NON_FINITE:
        return _NON_FINITE[value[_FLOAT]]
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
