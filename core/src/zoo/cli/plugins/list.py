"""``zoo plugins list``: what is installed, what it brings, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from zoo.cards import Card, CardTable
from zoo.cli._options import json_option
from zoo.cli._output import as_json, print_answer, print_json, print_message, print_table
from zoo.plugins import Plugin
from zoo.registry import Registry, default_registry


@click.command("list")
@json_option
@click.option("--traceback", is_flag=True, help="Show where a plugin failed.")
def list_(json_: bool, traceback: bool) -> None:
    """List the plugins, their state and what they bring."""
    registry = default_registry()
    if json_:
        print_json([_record(registry, plugin) for plugin in registry.plugins])
        return
    print_table(
        ("plugin", "distribution", "version", "state", "brings"),
        [
            (p.name, p.distribution, p.version, p.state, p.reason or _brings(p))
            for p in registry.plugins
        ],
    )
    for plugin in registry.plugins:
        for note in plugin.notes:
            print_message(f"{plugin.name}: {note}")
        for kind, names in long_names(registry, plugin).items():
            print_message(
                f"{plugin.name}: the short name is another plugin's too; use "
                f"{', '.join(names)} for the {kind}{'s' * (len(names) > 1)}"
            )
        if traceback and plugin.traceback:
            print_answer(f"\n{plugin.name} of {plugin.distribution}:\n{plugin.traceback}")
    if any(plugin.state == "failed" for plugin in registry.plugins):
        print_message("`zoo plugins doctor` says what helps.")


def long_names(registry: Registry, plugin: Plugin) -> dict[str, list[str]]:
    """The full names, by kind, of what a plugin's short names do not reach."""
    found: dict[str, list[str]] = {}
    if plugin.short_names:
        for kind, cards in plugin.cards.items():
            entries = [registry.get(kind, f"{plugin.name}:{card.name}") for card in cards]
            names = [e.full_name for e in entries if registry.shown_name(kind, e) == e.full_name]
            if names:
                found[kind] = names
    return found


def _record(registry: Registry, plugin: Plugin) -> dict[str, object]:
    return {
        **as_json(replace(plugin, cards={})),
        "notes": plugin.notes,
        "cards": {kind: _names(cards) for kind, cards in plugin.cards.items()},
        "only_by_full_name": long_names(registry, plugin),
    }


def _names(cards: Sequence[Card]) -> list[str]:
    """Without making the cards of a table, which may be very many."""
    return list(cards.rows) if isinstance(cards, CardTable) else [card.name for card in cards]


def _brings(plugin: Plugin) -> str:
    """As in "12 models, 1 recipe"."""
    counts = {kind: len(cards) for kind, cards in plugin.cards.items() if cards}
    return ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items()) or "nothing"
