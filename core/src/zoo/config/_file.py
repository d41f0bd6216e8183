"""A resolved config as TOML, each value with its origin in a comment, and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from zoo.config._layers import file_layer
from zoo.config._problems import dotted
from zoo.config._resolve import ResolvedConfig, resolve

_COMMENT = "  # "
"""Between a value and its origin."""
_DEFAULT = "default"


def dump_config(resolved: ResolvedConfig) -> str:
    """Every value of a config as TOML, with its origin as a comment; unset ones are left out."""
    tree = resolved.config.model_dump(mode="json")
    return "".join(_table((), tree, resolved.origins)).lstrip("\n")


def load_config(path: Path | str) -> ResolvedConfig:
    """Read what ``dump_config`` wrote, origins included.

    A value without a comment, or in a file that people wrote, has the file as its origin.

    Raises:
        ConfigError: as ``file_layer`` and ``resolve``.
    """
    resolved = resolve([file_layer(path)])
    noted = _origins(Path(path).read_text(encoding="utf-8"))
    origins = {key: noted.get(key, origin) for key, origin in resolved.origins.items()}
    kept = {key: origin for key, origin in origins.items() if origin != _DEFAULT}
    return replace(resolved, origins=kept)


def _table(
    path: tuple[str, ...], table: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[str]:
    """The lines of a table: its values first, then the tables in it."""
    origin = origins.get(dotted(path))  # of an empty table, which is a value like others
    if path and (table or origin):
        yield f"\n[{dotted(path)}]{_comment(origin) if origin else ''}\n"
    for key, value in table.items():
        if value is not None and not isinstance(value, Mapping):
            origin = origins.get(dotted((*path, key)), _DEFAULT)
            yield f"{_assignment(key, value)}{_comment(origin)}\n"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table((*path, key), value, origins)


def _comment(origin: str) -> str:
    """An origin at the end of a line."""
    text = "".join(character if character.isprintable() else " " for character in origin)
    return _COMMENT + " ".join(text.replace("#", " ").split())


def _assignment(key: str, value: Any) -> str:
    """``key = value`` in one line."""
    if isinstance(value, list):
        items = (_assignment("item", item).removeprefix("item = ") for item in value)
        return f"{_assignment(key, 0).removesuffix('0')}[{', '.join(items)}]"
    if isinstance(value, Mapping):
        items = (_assignment(name, item) for name, item in value.items())
        return f"{_assignment(key, 0).removesuffix('0')}{{{', '.join(items)}}}"
    return tomli_w.dumps({key: value}).strip()


def _origins(text: str) -> dict[str, str]:
    """The origins in the comments of a file, by dotted key."""
    origins: dict[str, str] = {}
    section: tuple[str, ...] = ()
    for line in text.split("\n"):  # TOML knows no other end of a line
        before, comment, origin = line.rpartition(_COMMENT)
        try:
            keys = _first_keys(tomllib.loads(before if comment else line))
        except tomllib.TOMLDecodeError:
            continue
        if line.startswith("["):
            section, keys = keys, ()
        if comment:
            origins[dotted((*section, *keys[:1]))] = origin
    return origins


def _first_keys(tree: Any) -> tuple[str, ...]:
    """The keys from the root of a tree down its first branch."""
    keys: list[str] = []
    while isinstance(tree, dict) and tree:
        key, tree = next(iter(tree.items()))
        keys.append(key)
    return tuple(keys)
