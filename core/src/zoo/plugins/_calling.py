"""Call a plugin's hooks, and check that they return what the specifications say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isfunction
from typing import Any

import pluggy

from zoo import cards, hooks
from zoo.cards import Card, CardTable, check_name
from zoo.errors import did_you_mean
from zoo.plugins._faults import HookError

KINDS: Mapping[str, tuple[str, type[Card]]] = {
    "model": ("zoo_models", cards.ModelCard),
    "dataset": ("zoo_datasets", cards.DatasetCard),
    "task": ("zoo_tasks", cards.TaskCard),
    "metric": ("zoo_metrics", cards.MetricCard),
    "recipe": ("zoo_recipes", cards.RecipeCard),
    "callback": ("zoo_callbacks", cards.CallbackCard),
    "proposer": ("zoo_proposers", cards.ProposerCard),
    "command": ("zoo_commands", cards.CommandSpec),
}
"""Each kind of thing that has a name: the hook that returns its cards, and their class."""


def call_hooks(name: str, implementation: object) -> dict[str, Sequence[Card]]:
    """Check a plugin's hooks against the specifications, and collect their cards by kind."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(implementation, name)
    known = [hook for hook, _ in KINDS.values()]
    callers = {caller.name: caller for caller in manager.get_hookcallers(implementation) or ()}
    for hook in sorted(callers.keys() - set(known)):
        near = "".join(f"; did you mean {near}?" for near in did_you_mean(hook, known, 1))
        cure = f"The hooks are {', '.join(known)}."
        raise HookError(
            f"{hook} is no hook of zoo{near}", cure, hook=getattr(implementation, hook, None)
        )
    for hook in known:
        function = getattr(implementation, hook, None)
        if hook not in callers and isfunction(function):
            cure = f"In the plugin's code, write @hookimpl before `def {hook}`."
            raise HookError(f"{hook} is not marked with @hookimpl", cure, hook=function)
    return {
        kind: _check_cards(hook, callers[hook], card_class)
        for kind, (hook, card_class) in KINDS.items()
        if hook in callers
    }


def _check_cards(hook: str, caller: pluggy.HookCaller, card_class: type[Card]) -> Sequence[Card]:
    """The cards that one hook returns, if they are that."""

    def refuse(what: str) -> HookError:
        cure = f"In the plugin's code, {hook} is to return a list of {card_class.__name__}."
        return HookError(f"{hook} {what}", cure, hook=caller.get_hookimpls()[0].function)

    results: list[Any] = caller()
    if not results:
        raise refuse("returned None, not a list of cards")
    for result in results:
        if not isinstance(result, Iterable) or isinstance(result, str | bytes):
            raise refuse(f"returned {type(result).__name__}, not a list of cards")
    if isinstance(results[0], CardTable):
        return _check_table(results[0], card_class, refuse)
    cards_found = [card for result in results for card in result]
    for card in cards_found:
        if not isinstance(card, card_class):
            raise refuse(f"gave {type(card).__name__}, not {card_class.__name__}")
    for name, count in Counter(card.name for card in cards_found).items():
        if count > 1:
            raise refuse(f"gave the name {name!r} {count} times")
    return tuple(cards_found)


def _check_table(
    table: CardTable, card_class: type[Card], refuse: Callable[[str], HookError]
) -> CardTable:
    """The table, if its names are names; of its cards, which may be very many, only the first."""
    for name in table.rows:
        check_name(name)
    for card in table[:1]:
        if not isinstance(card, card_class):
            raise refuse(f"has a table of {type(card).__name__}, not {card_class.__name__}")
    return table
