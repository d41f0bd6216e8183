"""Where values come from: a TOML file, the environment, assignments on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError

_PREFIX = "ZOO_"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Layer:
    """Values from one place.

    Attributes:
        origin: the place, as messages and the run folder name it: "recipe he2015", "command line".
        values: by section and key; a nested section is a nested mapping.
    """

    origin: str
    values: Mapping[str, Any]


def file_layer(path: Path | str) -> Layer:
    """The values of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not TOML; names the line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
        return Layer(str(path), tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {path} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and numbers beyond all bounds
        raise ConfigError(
            f"config file {path} is not TOML: {error}",
            'A line is `key = value`, below a `[section]`; text stands in "quotes".',
        ) from error


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The values of ``ZOO_SECTION__KEY=value`` (``ZOO_TRAINING__EMA__DECAY=0.99``).

    Values are spelt as in ``assignments_layer``.  Variables without a double underscore are none
    of a run's (``ZOO_PLUGINS``).
    """
    values: dict[str, Any] = {}
    for variable in sorted(environ):
        name = variable.removeprefix(_PREFIX)
        if name != variable and "__" in name:
            path = name.lower().split("__")
            _assign(values, path, parse_value(environ[variable], variable))
    return Layer("environment", values)


def assignments_layer(assignments: Sequence[str], origin: str) -> Layer:
    """The values of ``section.key=value`` words; of two for one key, the later counts.

    Args:
        assignments: the value is TOML (``0.1``, ``true``, ``"text"``, ``[1, 2]``); a bare word is
            text, so that ``optimizer.name=adamw`` needs no quotes, in lists as well.
            A key with dots of its own is quoted: ``optimizer.layer_rates."layer1.0"=0.1``.
        origin: of the layer.

    Raises:
        ConfigError: a word that is not ``section.key=value``.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = _parse_key(key)
        if not equals or not path:
            raise ConfigError(
                f"{assignment!r} ({origin}) is not section.key=value",
                "For example optimizer.momentum=0.9.",
            )
        _assign(values, path, parse_value(text, key.strip()))
    return Layer(origin, values)


def parse_value(text: str, key: str) -> Any:
    """A value as it is typed: TOML, or a bare word.

    >>> parse_value("0.1", "k"), parse_value("adamw", "k"), parse_value("[a, 2]", "k")
    (0.1, 'adamw', ['a', 2])
    """
    text = text.strip()
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # TOMLDecodeError, and numbers beyond all bounds
        document = {}
    if document.keys() == {"value"}:  # a line break in the text could smuggle in a second key
        return document["value"]
    if _NUMBER.fullmatch(text):  # .5 and 007, which TOML refuses
        return float(text) if set(text) & set(".eE") else int(text[:99])
    if text.startswith("[") and text.endswith("]") and not set(text[1:-1]) & set("[]{}\"'"):
        return [parse_value(item, key) for item in text[1:-1].split(",") if item.strip()]
    if text.startswith(("[", "{", '"', "'")):
        raise ConfigError(f"{key} = {text}: this is not a TOML value", "Are its brackets closed?")
    return text


def _parse_key(text: str) -> list[str]:
    """The parts of a dotted key, or nothing where it is none."""
    try:
        tree = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        return []
    path = []
    while isinstance(tree, dict):
        if len(tree) != 1:
            return []
        key, tree = next(iter(tree.items()))
        path.append(key)
    return path


def _assign(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path, replacing what is in the way."""
    *parents, last = path
    for parent in parents:
        child = values.get(parent)
        if not isinstance(child, dict):
            child = values[parent] = {}
        values = child
    values[last] = value
