"""Merge layers into one config, and refuse every bad key and value of it at once.

Merging, from the first layer to the last:

1. A later value replaces an earlier one, key by key, in nested tables too
   (``training.ema.decay`` leaves ``training.ema.every_steps`` as it was).
2. An empty table (``optimizer.layer_rates = {}``) forgets what earlier layers put into it.
3. The word ``none`` takes back an optional value (``training.clip_norm = none``).
4. A layer that names another optimizer, schedule, task or model takes the options of the earlier
   one away (an sgd's momentum must not reach adamw), and ``ResolvedConfig.dropped`` says so.  So it
   does with ``optimizer.learning_rate``, ``weight_decay`` and ``scale_to_batch``, as 0.05 is a rate
   for sgd and none for adamw; the other keys of the section's own belong to the run and stay.
   What has the same origin stays too: it was said of the new one.  Where the task had no name, it
   was the model's own, and its options stay.
5. ``callbacks.NAME = true`` is short for an empty table, ``false`` switches a callback off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from zoo.config._layers import Layer
from zoo.config._problems import bad_value, dotted, expected, plain, unknown_key
from zoo.config._schema import OpenSection, RunConfig
from zoo.errors import ConfigError

Path = tuple[str, ...]
NONE = "none"
"""How a config, which has no null, spells that an optional value is not set."""


@dataclass(frozen=True)
class ResolvedConfig:
    """A run's config, and where each of its values came from.

    Attributes:
        origins: by dotted key ("optimizer.learning_rate"); a key that is absent has its default.
        dropped: messages on options that fell with the thing they were for.
    """

    config: RunConfig
    origins: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


def resolve(layers: Sequence[Layer]) -> ResolvedConfig:
    """Merge layers, the later over the earlier, and check the result.

    Options of named things are checked where their factory is known: ``check_options``.

    Raises:
        ConfigError: with a line for each unknown key, wrong type, and value that is out of bounds
            or not finite, naming its origin.
    """
    merged = _Merged()
    for layer in layers:
        merged.add(layer)
    problems = list(merged.problems)
    try:
        config = RunConfig.model_validate_json(json.dumps(merged.tree()))
    except ValidationError as error:
        problems += merged.explain(error)
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    origins = {dotted(path): origin for path, (_, origin) in merged.leaves.items()}
    return ResolvedConfig(config, origins, tuple(merged.dropped))


class _Merged:
    """The leaves of all layers so far: path to (value, origin)."""

    def __init__(self) -> None:
        self.leaves: dict[Path, tuple[Any, str]] = {}
        self.problems: list[str] = []
        self.dropped: list[str] = []

    def add(self, layer: Layer) -> None:
        """Put a layer over the earlier ones."""
        for key, value in layer.values.items():
            section = section_of(key)
            if key not in RunConfig.model_fields:
                known = RunConfig.model_fields
                self.problems.append(unknown_key(str(key), str(key), "a run", known, layer.origin))
            elif section is None and key != "callbacks":
                self._set((key,), value, layer.origin)
            elif isinstance(value, Mapping):
                self._drop_options(key, section, value, layer.origin)
                for path, leaf in _leaves((key,), value):
                    self._set(path, leaf, layer.origin)
            else:
                self.problems.append(bad_value(key, value, layer.origin, f"a table, [{key}]"))

    def _set(self, path: Path, value: Any, origin: str) -> None:
        try:
            value = plain(value)
        except ValueError as error:
            self.problems.append(bad_value(dotted(path), value, origin, str(error)))
            return
        for other in list(self.leaves):
            shorter = min(len(other), len(path))
            if other[:shorter] == path[:shorter]:
                del self.leaves[other]
        if path[0] == "callbacks" and len(path) == 2 and isinstance(value, bool):
            if value:
                self.leaves[path] = ({}, origin)
            return
        if _is_option(path):
            value = NONE if value is None else value
        elif value == NONE and _admits_none(path):
            value = None
        self.leaves[path] = (value, origin)

    def _drop_options(
        self, key: str, section: type[BaseModel] | None, values: Mapping[str, Any], origin: str
    ) -> None:
        """Forget the options of a thing that this layer replaces by another."""
        if section is None or "name" not in section.model_fields or "name" not in values:
            return
        info = section.model_fields["name"]
        default = None if info.is_required() else info.default
        before, _ = self.leaves.get((key, "name"), (default, ""))
        if before in (None, values["name"]):
            return
        bound = section.bound_to_name if issubclass(section, OpenSection) else frozenset()
        for path, (value, whence) in list(self.leaves.items()):
            belongs = path[0] == key and (_is_option(path) or path[1] in bound)
            if not belongs or whence == origin:
                continue
            del self.leaves[path]
            self.dropped.append(
                f"{dotted(path)} = {value!r} ({whence}) was for {before}, "
                f"not for {values['name']} ({origin})"
            )

    def tree(self) -> dict[str, Any]:
        """The nested tables."""
        tree: dict[str, Any] = {}
        for (*parents, last), (value, _) in self.leaves.items():
            table = tree
            for parent in parents:
                table = table.setdefault(parent, {})
            table[last] = value
        tree.setdefault("model", {})
        return tree

    def explain(self, error: ValidationError) -> Iterator[str]:
        """A line for each error that pydantic found."""
        for detail in error.errors(include_url=False):
            path = tuple(str(part) for part in detail["loc"])
            name = dotted(path)
            if detail["type"] == "missing":
                yield f"{name} is missing"
            elif detail["type"] == "extra_forbidden":
                table = _table_at(path[:-1])
                known = table.model_fields if table else ()
                place = f"[{dotted(path[:-1])}]"
                yield unknown_key(name, path[-1], place, known, self._origin(path))
            else:
                yield bad_value(name, detail["input"], self._origin(path), expected(detail))

    def _origin(self, path: Path) -> str:
        """Where the value at a path, or the last one below it, came from."""
        found = ""
        for other, (_, origin) in self.leaves.items():
            shorter = min(len(other), len(path))
            if other[:shorter] == path[:shorter]:
                found = origin
        return found


def section_of(key: str) -> type[BaseModel] | None:
    """The class of a section of ``RunConfig``, or None for a key that is no section."""
    return _table_at((key,))


def _table_at(path: Path) -> type[BaseModel] | None:
    """The class of the table at a path, where the schema has one."""
    table: type[BaseModel] = RunConfig
    for key in path:
        info = table.model_fields.get(key)
        candidates = (info.annotation, *get_args(info.annotation)) if info else ()
        tables = [kind for kind in candidates if isinstance(kind, type)]
        tables = [kind for kind in tables if issubclass(kind, BaseModel)]
        if not tables:
            return None
        table = tables[0]
    return table


def _is_option(path: Path) -> bool:
    """Whether a path names an option of a thing, and no key of the schema's own."""
    if path[0] == "callbacks":
        return len(path) > 2
    section = section_of(path[0])
    return (
        section is not None
        and issubclass(section, OpenSection)
        and len(path) > 1
        and path[1] not in section.model_fields
    )


def _admits_none(path: Path) -> bool:
    """Whether the schema's value at a path is optional."""
    table = _table_at(path[:-1])
    info = table.model_fields.get(path[-1]) if table else None
    return info is not None and type(None) in get_args(info.annotation)


def _leaves(path: Path, value: Mapping[Any, Any]) -> Iterator[tuple[Path, Any]]:
    """The values of nested tables with their paths; an empty table is a value, a section is not."""
    for key, item in value.items():
        here = (*path, str(key))
        if isinstance(item, Mapping) and item:
            yield from _leaves(here, item)
        else:
            yield here, item
