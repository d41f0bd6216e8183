"""The public surface of zoo, as text: whatever a user or an author of a plugin may rely on.

    python docs/surface.py    write docs/public-surface.txt anew

A test compares that file with the code, so that nothing public changes unseen.  The policy is in
docs/public-api.md.
"""  # noqa: INP001 - documents are no package

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import zoo
import zoo_testkit
from zoo import errors, hooks
from zoo.cli._group import zoo as command_line
from zoo.cli._verbs import VERBS
from zoo.config import RunConfig
from zoo.plugins import load_plugins
from zoo.training._optimizers import OPTIMIZERS
from zoo.training._schedules import SCHEDULES

ROOT = Path(__file__).parents[1]
SURFACE = ROOT / "docs" / "public-surface.txt"
NAMES = sorted(zoo._HOMES)  # noqa: SLF001
KIT_NAMES = sorted(zoo_testkit._HOMES)  # noqa: SLF001
ROOMS = ("zoo.metrics", "zoo.models", "zoo.randomness", "zoo.structures", "zoo.tasks")
"""Beside ``zoo`` itself, what a plugin may import all of ``__all__`` from."""
DATA_ROOMS = {
    "boxes": ("BoxedFiles",),
    "builtin": ("digit_boxes", "digit_scenes", "digits", "torchvision_splits"),
    "datasets": ("Dataset", "FileDataset", "Resident", "ResidentDataset", "Source"),
    "decoding": ("decode_image",),
    "loading": ("Loader", "epoch_batches", "evaluation_batches"),
    "masks": ("MaskedFiles",),
    "packs": ("PackResult", "Packing", "write_pack"),
    "sources": ("SourceCheck", "check_source", "find_dataset", "open_source", "read_dataset"),
    "transforms": (
        *("BatchTransform", "Transforms", "box_transforms", "image_transforms"),
        *("mask_transforms", "to_own_pixels", "weigh_borders"),
    ),
}
"""What a plugin may import from the rooms of ``zoo.data``: the rest serves the other rooms."""
MARKS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


def surface() -> str:
    """All of it: a heading for each part, a line for each thing."""
    text = "".join(f"# {title}\n{_lines(part())}\n" for title, part in PARTS.items())
    return text.rstrip("\n") + "\n"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# --- Python ----------------------------------------------------------------------------------


def _names() -> Iterator[str]:
    for name in NAMES:
        yield from _describe(f"zoo.{name}", getattr(zoo, name))


def _rooms() -> Iterator[str]:
    for room, names in DATA_ROOMS.items():
        yield from _of_room(f"zoo.data.{room}", names)
    for room in ROOMS:
        yield from _of_room(room, sorted(set(import_module(room).__all__) - set(NAMES)))


def _of_room(room: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from _describe(f"{room}.{name}", getattr(import_module(room), name))


def _describe(name: str, value: Any) -> Iterator[str]:
    """A function by its signature, a class by its members, anything else by its value."""
    if inspect.isfunction(value):
        yield name + _signature(value)
    elif inspect.isclass(value):
        yield name + _bases(value)
        yield from (f"    {line}" for line in _members(value))
    else:
        yield f"{name} = {value!r}" if isinstance(value, str | int) else name


def _bases(of: type) -> str:
    ours = [base.__name__ for base in of.__bases__ if base.__module__.startswith("zoo")]
    return f"({', '.join(ours)})" if ours else ""


def _members(of: type) -> Iterator[str]:
    """Fields in their order, then what can be called; what a public base has stands there."""
    public = {id(getattr(zoo, name)) for name in NAMES}
    classes = [of, *(base for base in of.__mro__[1:] if id(base) not in public)]
    classes = [each for each in reversed(classes) if each.__module__.startswith("zoo")]
    hints = {name: hint for each in classes for name, hint in inspect.get_annotations(each).items()}
    fields = {field.name: field for field in dataclasses.fields(of)} if _is_dataclass(of) else {}
    for name, hint in hints.items():
        if not name.startswith("_"):
            yield f"{name}: {_hint(hint)}{_field_default(fields.get(name))}"
    members = {name: value for each in classes for name, value in vars(each).items()}
    for name, value in sorted(members.items()):
        function = getattr(value, "fget", getattr(value, "__func__", value))
        ours = str(getattr(function, "__module__", "")).startswith("zoo")
        called = name == "__call__" or (name == "__init__" and not fields)
        if ours and inspect.isfunction(function) and (called or not name.startswith("_")):
            answer = inspect.signature(function).return_annotation
            shown = f": {_hint(answer)}" if isinstance(value, property) else _signature(function)
            yield name + shown


def _is_dataclass(of: type) -> bool:
    return dataclasses.is_dataclass(of)


def _field_default(field: dataclasses.Field[Any] | None) -> str:
    if field is None or field.default is field.default_factory is dataclasses.MISSING:
        return ""
    return " = ..." if field.default is dataclasses.MISSING else f" = {field.default!r}"


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parts, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        mark = MARKS.get(parameter.kind, "")
        hint = "" if parameter.annotation is parameter.empty else f": {_hint(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{mark}{parameter.name}{hint}{default}")
    answer = signature.return_annotation
    return f"({', '.join(parts)})" + ("" if answer is signature.empty else f" -> {_hint(answer)}")


def _hint(annotation: Any) -> str:
    text = getattr(annotation, "__forward_arg__", annotation)
    return text if isinstance(text, str) else inspect.formatannotation(annotation)


# --- plugins ---------------------------------------------------------------------------------


def _hooks() -> Iterator[str]:
    yield f"entry points of the group {hooks.ENTRY_POINT_GROUP!r}"
    for name, value in sorted(vars(hooks).items()):
        if name.startswith("zoo_"):
            yield name + _signature(value)


def _kit() -> Iterator[str]:
    for name in KIT_NAMES:
        for line in _describe(f"zoo_testkit.{name}", getattr(zoo_testkit, name)):
            yield line.partition("(")[0] if line.strip().startswith("test_") else line


def _core_cards() -> Iterator[str]:
    (core,) = load_plugins(found=[])
    for kind, cards in core.cards.items():
        yield f"{kind}: {' '.join(sorted(card.name for card in cards))}"


# --- the command line ------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    context = click.Context(command_line, info_name="zoo")
    yield from _command(context)
    for verb in VERBS:
        command = command_line.get_command(context, verb)
        assert command is not None  # noqa: S101
        yield from _command(click.Context(command, info_name=verb, parent=context))


def _command(context: click.Context) -> Iterator[str]:
    """A command with its arguments, its options, and those of the commands below it."""
    parameters = context.command.params
    words = [p.make_metavar(context) for p in parameters if isinstance(p, click.Argument)]
    yield " ".join([context.command_path, *words])
    for option in parameters:
        if isinstance(option, click.Option) and not option.hidden:
            names = " ".join([*option.opts, *option.secondary_opts])
            value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
            yield f"    {names}{value}{' (several)' if option.multiple else ''}"
    if isinstance(context.command, click.Group) and context.parent is not None:
        for name in context.command.list_commands(context):
            below = context.command.get_command(context, name)
            assert below is not None  # noqa: S101
            yield from _command(click.Context(below, info_name=name, parent=context))


def _exit_codes() -> Iterator[str]:
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.ZooError):
            yield f"{error.exit_code:2} zoo.errors.{name}{_bases(error)}"


# --- the config ------------------------------------------------------------------------------


def _config() -> Iterator[str]:
    schema = RunConfig.model_json_schema()
    for section, facts in schema["properties"].items():
        yield from _keys(section, facts, schema["$defs"])


def _keys(path: str, facts: Mapping[str, Any], tables: Mapping[str, Any]) -> Iterator[str]:
    """The keys below one; a table that may be missing is one all the same."""
    for part in (facts, *facts.get("anyOf", ())):
        if "$ref" in part:
            table = tables[part["$ref"].rpartition("/")[2]]
            for key, below in table["properties"].items():
                yield from _keys(f"{path}.{key}", below, tables)
            return
    default = f" = {json.dumps(facts['default'])}" if "default" in facts else ""
    yield f"{path}: {_type(facts)}{default}"


def _type(facts: Mapping[str, Any]) -> str:
    if "anyOf" in facts:
        return " | ".join(map(_type, facts["anyOf"]))
    if "enum" in facts:
        return " | ".join(map(json.dumps, facts["enum"]))
    inner = f"[{_type(facts['items'])}]" if "items" in facts else ""
    limits = "".join(f" {sign} {facts[key]:g}" for key, sign in BOUNDS.items() if key in facts)
    return str(facts.get("type", "any")) + inner + limits


def _choices() -> Iterator[str]:
    yield from (f"optimizer.name = {name}{_signature(f)}" for name, f in OPTIMIZERS.items())
    yield from (f"schedule.name = {name}{_signature(f)}" for name, f in SCHEDULES.items())


def _environment() -> Iterator[str]:
    sources = (ROOT / "core" / "src").rglob("*.py")
    found = {name for file in sources for name in re.findall(r"\bZOO_[A-Z_]+\b", file.read_text())}
    yield from sorted(name for name in found if "__" not in name)
    yield "ZOO_SECTION__KEY for each key of the configuration"


# --- the run folder --------------------------------------------------------------------------


def _run_folder() -> Iterator[str]:
    """The files of a run of one step, with what their JSON documents hold."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        zoo.train(
            {
                "model": {"name": "resnet:resnet20"},
                "data": {"source": "digits", "image_size": 8},
                "training": {"max_steps": 1, "log_every": 1},
                "machine": {"device": "cpu", "precision": "fp32"},
            },
            output=run,
        )
        for file in sorted(path for path in run.rglob("*") if path.is_file()):
            name = re.sub(r"-[0-9a-f]{8,}\b", "-HASH", str(file.relative_to(run)))
            yield name
            yield from (f"    {line}" for line in _content(file))


def _content(file: Path) -> list[str]:
    if file.suffix == ".json":
        return sorted(json.loads(file.read_text()))
    if file.suffix == ".jsonl":
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        return sorted({f"{line['event']}: {' '.join(sorted(line))}" for line in lines})
    return []


PARTS: dict[str, Callable[[], Iterable[str]]] = {
    "Names of zoo": _names,
    "Rooms that plugins build on": _rooms,
    "Hooks": _hooks,
    "Names of core's own cards": _core_cards,
    "Test kit": _kit,
    "Command line": _commands,
    "Exit codes": _exit_codes,
    "Configuration": _config,
    "Optimizers and schedules": _choices,
    "Environment": _environment,
    "Run folder": _run_folder,
}

if __name__ == "__main__":
    SURFACE.write_text(surface())
