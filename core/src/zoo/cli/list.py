"""``zoo list``: what is there, by name."""

from __future__ import annotations

import sys
from typing import Any

import click

from zoo.cards import Card
from zoo.cli._completion import complete_names
from zoo.cli._options import json_option
from zoo.cli._output import (
    count_text,
    print_answer,
    print_json,
    print_message,
    print_table,
)
from zoo.errors import UnknownNameError, did_you_mean
from zoo.plugins import Plugin
from zoo.registry import Entry, Registry, default_registry

COLUMNS = {
    "model": ("task", "num_params", "gmacs", "summary"),
    "dataset": ("task", "classes", "download", "summary"),
    "recipe": ("task", "source", "summary"),
    "metric": ("task", "keys", "summary"),
    "task": ("default_dataset", "summary"),
    "callback": ("summary",),
    "proposer": ("summary",),
}
"""The fields of each kind's card that a table shows."""
KINDS = {f"{kind}s": kind for kind in COLUMNS}


@click.command("list")
@click.argument("what", default="models", metavar=f"[{'|'.join(KINDS)}]")
@click.argument("pattern", required=False)
@click.option(
    "--task",
    metavar="NAME",
    shell_complete=complete_names("task"),
    help="Only what serves this task.",
)
@json_option
def list_(what: str, pattern: str | None, task: str | None, json_: bool) -> None:
    """List models, datasets, recipes, metrics, tasks, callbacks or proposers.

    PATTERN is a part of the name, or a glob such as 'resnet*_32x4d'.
    """
    if what not in KINDS and pattern is None and not did_you_mean(what, KINDS):
        what, pattern = "models", what
    if what not in KINDS:
        raise UnknownNameError("kind", what, KINDS, f"Known: {', '.join(KINDS)}.")
    kind = KINDS[what]
    registry = default_registry()
    # People at a terminal see what zoo has of its own; a file, a program and a search see all.
    whole = json_ or pattern is not None or not sys.stdout.isatty()
    entries = _of_task(registry, registry.entries(kind, pattern, bridges=whole), task)
    if json_:
        print_json([record(registry, kind, entry) for entry in entries])
    elif entries:
        _print_entries(registry, kind, entries)
    elif whole:
        print_message(_nothing(registry, kind, pattern))
    for plugin in registry.plugins:
        if not plugin.short_names and plugin.cards.get(kind):
            _tell_of_bridge(plugin, kind, whole=whole)


def _print_entries(registry: Registry, kind: str, entries: list[Entry]) -> None:
    columns = COLUMNS[kind]
    print_table(
        ("name", *(column.replace("_", " ") for column in columns)),
        [
            (registry.shown_name(kind, entry), *(_cell(entry.card, column) for column in columns))
            for entry in entries
        ],
    )


def _of_task(registry: Registry, entries: list[Entry], task: str | None) -> list[Entry]:
    """The entries that serve a task; also one that no plugin has yet, if a card names it.

    Raises:
        UnknownNameError: neither a task nor a card has this name.
    """
    if task is None:
        return entries
    served = [e for e in entries if getattr(e.card, "task", e.card.name) == task]
    if not served:
        name = registry.get("task", task).card.name
        served = [e for e in entries if getattr(e.card, "task", e.card.name) == name]
    return served


def _tell_of_bridge(plugin: Plugin, kind: str, *, whole: bool) -> None:
    """One line for a bridge whose cards are not shown, and one for each of its notes."""
    if not whole:
        count = f"{len(plugin.cards[kind]):,} more {kind}s"
        print_answer(f"{plugin.name}: {count}; `zoo list {kind}s '{plugin.name}:*'` shows them")
    for note in plugin.notes:
        print_message(f"{plugin.name}: {note}")


def record(registry: Registry, kind: str, entry: Entry) -> dict[str, Any]:
    """A card for ``print_json``: all its facts, the name that reaches it, who it comes from."""
    return {
        **vars(entry.card),
        "name": registry.shown_name(kind, entry),
        "full_name": entry.full_name,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "version": entry.version,
    }


def _cell(card: Card, column: str) -> str:
    value = getattr(card, column)
    if column == "num_params":
        return count_text(value)
    if column == "gmacs":
        return f"{value:.3g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _nothing(registry: Registry, kind: str, pattern: str | None) -> str:
    """Why a list is empty."""
    names = [entry.card.name for entry in registry.entries(kind)]
    near = did_you_mean(pattern or "", names)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    failed = [plugin.name for plugin in registry.plugins if plugin.state == "failed"]
    faults = f" Plugins that failed: {', '.join(failed)}; `zoo plugins list`." if failed else ""
    return f"There is no such {kind}.{hint}{faults}"
