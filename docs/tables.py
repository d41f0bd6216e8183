"""The parts of the documents that are facts of the code: tables of keys and options, and files.

    python docs/tables.py    write them anew, between their two comments in each document

A test compares the documents with what this file would write, so that they cannot drift.
"""  # noqa: INP001 - documents are no package

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from zoo.cli._verbs import VERBS
from zoo.cli.train import SETTINGS
from zoo.config import RunConfig
from zoo.config import _schema as schema
from zoo.registry import default_registry

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """The files that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def with_tables(text: str) -> str:
    """A document with each of its tables as it should be."""
    return BLOCK.sub(lambda found: f"{found[1]}{_table(found[2])}\n{found[3]}", text)


def _table(name: str) -> str:
    kind, _, of = name.partition(":")
    return "\n".join(TABLES[kind](of))


# --- the command line ------------------------------------------------------------------------


def _verbs(_of: str) -> Iterator[str]:
    yield "| | |\n|---|---|"
    for verb, (_, summary) in VERBS.items():
        yield f"| `zoo {verb}` | {summary} |"


# --- the config ------------------------------------------------------------------------------


def _section(of: str) -> Iterator[str]:
    """The keys of a section."""
    options = {setting.key: setting.option for setting in SETTINGS}
    options["model.freeze"] = "--freeze"
    table = RunConfig.model_json_schema()["$defs"][of]
    meanings = _attribute_docstrings()[of]
    section = next(
        (
            name
            for name, field in RunConfig.model_fields.items()
            if getattr(field.annotation, "__name__", "") == of
        ),
        "training.ema",
    )
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for key, facts in table["properties"].items():
        option = options.get(f"{section}.{key}")
        meaning = meanings.get(key, "") + (f" `{option}`" if option else "")
        default = _needed(key, table) or _value(facts.get("default"))
        yield f"| `{key}` | {_kind(facts)} | {default} | {meaning.strip()} |"


def _needed(key: str, table: Mapping[str, Any]) -> str:
    return "needed" if key in table.get("required", ()) else ""


def _kind(facts: Mapping[str, Any]) -> str:
    """What a value may be, from its JSON schema."""
    if "anyOf" in facts:
        return ", or ".join(_kind(part) for part in facts["anyOf"] if part.get("type") != "null")
    if "$ref" in facts:
        return "a table, below"
    if "enum" in facts:
        return " ".join(f"`{value}`" for value in facts["enum"])
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
    bounds = {
        "exclusiveMinimum": "above",
        "minimum": "from",
        "exclusiveMaximum": "below",
        "maximum": "to",
    }
    if facts["type"] == "array":
        return f"list of {_kind(facts['items'])}"
    if facts["type"] == "object":
        return "a table"
    limits = [f"{word} {facts[key]:g}" for key, word in bounds.items() if key in facts]
    return " ".join([words[facts["type"]], *limits])


def _attribute_docstrings() -> dict[str, dict[str, str]]:
    """The text below each attribute of the schema's classes."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(schema)).body:
        if isinstance(node, ast.ClassDef):
            texts = found.setdefault(node.name, {})
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    texts[ast.unparse(field.target)] = _line(ast.literal_eval(text.value))
    return found


# --- options of named things -----------------------------------------------------------------


def _options(of: str) -> Iterator[str]:
    """The keywords of one factory, with what its docstring says of them."""
    function, given = _FACTORIES[of]()
    meanings = _argument_docstrings(function)
    yield "| option | value | default | meaning |\n|---|---|---|---|"
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in given:
            yield (
                f"| `{name}` | {_annotation(parameter, function)} "
                f"| {_value(parameter.default)} | {meanings.get(name, '')} |"
            )


def _choices(of: str) -> Iterator[str]:
    """Several factories by name, each with the first line of its docstring and its options."""
    yield "| name | what it is | options |\n|---|---|---|"
    for name, function in _CHOICES[of]().items():
        options = (
            f"`{option} = {_text(parameter.default)}`"
            if parameter.default is not parameter.empty
            else f"`{option}`, needed"
            for option, parameter in inspect.signature(function).parameters.items()
            if option != "groups"
        )
        summary = _line((inspect.getdoc(function) or "").split("\n\n")[0])
        yield f"| `{name}` | {summary} | {', '.join(options)} |"


def _task() -> tuple[Callable[..., Any], set[str]]:
    from zoo.tasks import ClassificationTask

    return ClassificationTask, {"classes"}


def _segmentation() -> tuple[Callable[..., Any], set[str]]:
    from zoo.tasks import SegmentationTask

    return SegmentationTask, {"classes"}


def _mask_transforms() -> tuple[Callable[..., Any], set[str]]:
    from zoo.data.transforms import mask_transforms

    return mask_transforms, {"train", "spec", "seed"}


def _transforms() -> tuple[Callable[..., Any], set[str]]:
    from zoo.data.transforms import image_transforms

    return image_transforms, {"train", "spec", "seed", "num_classes"}


def _resnet() -> tuple[Callable[..., Any], set[str]]:
    registry = default_registry()
    factory = registry.load(registry.get("model", "resnet:resnet34"))
    while hasattr(factory, "func"):
        factory = factory.func
    return factory, {"variant", "num_classes"}


def _optimizers() -> Mapping[str, Callable[..., Any]]:
    from zoo.training._optimizers import OPTIMIZERS

    return OPTIMIZERS


def _schedules() -> Mapping[str, Callable[..., Any]]:
    from zoo.training._schedules import SCHEDULES

    return SCHEDULES


def _annotation(parameter: inspect.Parameter, function: Callable[..., Any]) -> str:
    source = function.__init__ if inspect.isclass(function) else function  # type: ignore[misc]
    # One by one: names imported for type checkers alone do not exist now.
    return _hint(eval(parameter.annotation, source.__globals__))  # noqa: S307


def _hint(hint: Any) -> str:
    """A type in words."""
    names = {int: "integer", float: "number", str: "text", bool: "true or false"}
    if hint in names:
        return names[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(_hint(part) for part in arguments if part is not type(None))
    inner = [_hint(part) for part in arguments if part is not Ellipsis]
    if origin is tuple and Ellipsis not in arguments:
        return f"list of {len(inner)}: {inner[0]}"
    return f"list of {inner[0]}"


def _argument_docstrings(function: Callable[..., Any]) -> dict[str, str]:
    """The entries of the ``Args:`` section."""
    text = inspect.getdoc(function) or ""
    found = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    entries = re.findall(
        r"^    (\w+): (.*?)(?=^    \w+: |\Z)", found[1] if found else "", re.MULTILINE | re.DOTALL
    )
    return {name: _line(meaning) for name, meaning in entries}


# --- recipes and metrics ---------------------------------------------------------------------


def _recipes(_of: str) -> Iterator[str]:
    registry = default_registry()
    for entry in registry.entries("recipe"):
        recipe = registry.load(entry)
        title, *paragraphs = (inspect.getdoc(recipe) or "").split("\n\n")
        yield f"\n### `{entry.card.name}`\n\n{title}\n"
        for paragraph in paragraphs:
            facts = re.split(r"\n(?=(?:[A-Z]\w+|Differs from the source): )", paragraph)
            mark = "- " if paragraph.startswith("Command:") else ""
            yield "\n".join(mark + _line(fact) for fact in facts) + "\n"
        yield f"```toml\n{_toml(recipe())}\n```"


def _toml(tree: Mapping[str, Any]) -> str:
    """A part of a config as people write it: short numbers, lists in a line."""
    text = tomli_w.dumps(_rounded(tree)).strip()
    return re.sub(
        r"\[\n(.*?)\n\]", lambda found: f"[{_line(found[1]).rstrip(',')}]", text, flags=re.DOTALL
    )


def _rounded(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(value) for value in tree]
    return float(f"{tree:.9g}") if isinstance(tree, float) else tree


def _metrics(_of: str) -> Iterator[str]:
    yield "| name | computes | what it is |\n|---|---|---|"
    for entry in default_registry().entries("metric"):
        keys = " ".join(f"`{key}`" for key in entry.card.keys)  # type: ignore[attr-defined]
        yield f"| `{entry.card.name}` | {keys} | {entry.card.summary} |"


def _contract(of: str) -> Iterator[str]:
    """The tests of a contract, and the first line of what each says of itself."""
    import zoo_testkit

    contract = getattr(zoo_testkit, of)
    yield "| test | |\n|---|---|"
    for name in contract.contract_tests():
        meaning = inspect.getdoc(getattr(contract, name)).partition("\n\n")[0]
        yield f"| `{name}` | {meaning.replace('``', '`')} |"


def _own_tests(of: str) -> Iterator[str]:
    """The tests of a contract that those it inherits from have not, or have otherwise."""
    import zoo_testkit

    own = vars(getattr(zoo_testkit, of))
    yield from (
        row for row in _contract(of) if not row.startswith("| `") or row.split("`")[1] in own
    )


# --- words -----------------------------------------------------------------------------------


def _line(text: str) -> str:
    """Prose of a docstring in one line of Markdown."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _value(value: Any) -> str:
    """A default as TOML writes it; nothing where there is none."""
    nothing = value is None or value is inspect.Parameter.empty or value in ((), [], {})
    return "" if nothing else f"`{_text(value)}`"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        return f"{value:.4g}" if value else "0.0"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


# --- files that a page explains ---------------------------------------------------------------


def _file(of: str) -> Iterator[str]:
    """A file of an example, whole, under its own path."""
    language = {".py": "python", ".toml": "toml"}[Path(of).suffix]
    text = (ROOT / "packages" / "examples" / of).read_text().rstrip("\n")
    yield f'```{language} title="{of}"\n{text}\n```'


TABLES: dict[str, Callable[[str], Iterator[str]]] = {
    "verbs": _verbs,
    "section": _section,
    "options": _options,
    "choices": _choices,
    "recipes": _recipes,
    "metrics": _metrics,
    "contract": _contract,
    "own-tests": _own_tests,
    "file": _file,
}
_FACTORIES = {
    "task": _task,
    "segmentation": _segmentation,
    "transforms": _transforms,
    "mask-transforms": _mask_transforms,
    "resnet": _resnet,
}
_CHOICES = {"optimizers": _optimizers, "schedules": _schedules}

if __name__ == "__main__":
    for document in documents():
        document.write_text(with_tables(document.read_text()))
