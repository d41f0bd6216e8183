"""Find the installed plugins and load each one in isolation, so that one that fails harms nobody.

pluggy's own loader stops at the first plugin that raises, and drops the second of two
distributions that use one entry-point name without a word.  So zoo walks the entry points itself:
pluggy holds the hook specifications and checks each plugin's implementations against them.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from typing import Any, Literal

import pluggy

from zoo import __version__, cards, hooks
from zoo.cards import Card
from zoo.errors import PluginError, did_you_mean

KINDS: Mapping[str, tuple[str, type[Card]]] = {
    "model": ("zoo_models", cards.ModelCard),
    "dataset": ("zoo_datasets", cards.DatasetCard),
    "task": ("zoo_tasks", cards.TaskCard),
    "metric": ("zoo_metrics", cards.MetricCard),
    "recipe": ("zoo_recipes", cards.RecipeCard),
    "callback": ("zoo_callbacks", cards.CallbackCard),
    "command": ("zoo_commands", cards.CommandSpec),
}
"""Each kind of thing that has a name: the hook that returns its cards, and their class."""

FIRST_PARTY = frozenset({"zoo-core", "zoo-resnet", "zoo-rcnn", "zoo-unet"})
"""The distributions made together with zoo: they own their short names."""

ONLY = "ZOO_PLUGINS"
"""Environment: the plugins to load, comma-separated; empty for none."""
WITHOUT = "ZOO_DISABLE_PLUGINS"
"""Environment: plugins not to load, comma-separated."""

_HEAVY = frozenset({"torch", "torchvision", "numpy", "PIL"})
_CORE = EntryPoint("core", "zoo.builtin", hooks.ENTRY_POINT_GROUP)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What became of one entry point.

    Attributes:
        name: of the entry point, the part before the colon in a full name.
        distribution, version: what pip calls it.
        target: the module that the entry point names.
        state: only a loaded plugin has cards.
        reason: why it is disabled or failed, in a line.
        traceback: of the failure, for ``--debug``.
        cards: what it registered, by kind.
        heavy: what of torch, numpy and PIL it imported to say so, which slows every command.
        short_names: False for a bridge to another zoo, whose names want their full form.
    """

    name: str
    distribution: str
    version: str
    target: str
    state: Literal["loaded", "disabled", "failed"] = "loaded"
    reason: str = ""
    traceback: str = ""
    cards: Mapping[str, tuple[Card, ...]] = field(default_factory=dict)
    heavy: tuple[str, ...] = ()
    short_names: bool = True

    @property
    def first_party(self) -> bool:
        """Whether it is made together with zoo."""
        return self.distribution in FIRST_PARTY


def load_plugins(
    *,
    found: Iterable[EntryPoint] | None = None,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> list[Plugin]:
    """Load core's own cards and the plugins, in the order of their names.

    Nothing that a plugin does while it loads raises here; it becomes a record that says so.

    Args:
        found: entry points to load; default: those of the installed distributions.
        only: names to load; None: all.
        without: names not to load.
    """
    if found is None:
        found = entry_points(group=hooks.ENTRY_POINT_GROUP)
    pairs = sorted(((_describe(entry), entry) for entry in found), key=lambda pair: _order(pair[0]))
    installed = [plugin for plugin, _ in pairs]
    plugins = [_load(_describe(_CORE), _CORE)]
    for plugin, entry in pairs:
        if only is not None and plugin.name not in only:
            plugins.append(replace(plugin, state="disabled", reason=f"{ONLY} does not name it"))
        elif plugin.name in without:
            plugins.append(replace(plugin, state="disabled", reason=f"{WITHOUT} names it"))
        elif clash := _name_clash(plugin, installed):
            plugins.append(replace(plugin, state="failed", reason=clash))
        else:
            plugins.append(_load(plugin, entry))
    return [*plugins, *_absent(only or (), installed, ONLY), *_absent(without, installed, WITHOUT)]


def plugin_choice(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the environment says of ``load_plugins``' arguments ``only`` and ``without``."""

    def names(variable: str) -> frozenset[str]:
        return frozenset(environ.get(variable, "").replace(",", " ").split())

    return {"only": names(ONLY) if ONLY in environ else None, "without": names(WITHOUT)}


def _describe(entry: EntryPoint) -> Plugin:
    """The record of an entry point before anything of the plugin runs."""
    if entry is _CORE:
        distribution, version = "zoo-core", __version__
    else:  # metadata that cannot be read has no name and no version
        distribution = (entry.dist and entry.dist.metadata["Name"]) or "unknown"
        version = (entry.dist and entry.dist.metadata["Version"]) or "unknown"
    return Plugin(name=entry.name, distribution=distribution, version=version, target=entry.value)


def _order(plugin: Plugin) -> tuple[bool, str, str, str]:
    return (not plugin.first_party, plugin.name, plugin.distribution, plugin.target)


def _name_clash(plugin: Plugin, installed: Sequence[Plugin]) -> str:
    """Why a plugin may not have its name, if another has it: strangers then both lose it."""
    if plugin.name == _CORE.name:
        return f"the name {_CORE.name!r} is zoo's own"
    others = [o for o in installed if o.name == plugin.name and o is not plugin]
    if plugin.first_party:
        others = [other for other in others if other.first_party]
    owners = ", ".join(f"{other.distribution} {other.version}" for other in others)
    return f"the name {plugin.name!r} is also that of a plugin of {owners}" if owners else ""


def _absent(names: Collection[str], installed: Sequence[Plugin], variable: str) -> list[Plugin]:
    """A failed record for each name in the environment that no installed plugin has."""
    known = [plugin.name for plugin in installed]
    return [
        Plugin(
            name=name,
            distribution="",
            version="",
            target="",
            state="failed",
            reason=f"{variable} names it, and no installed plugin is called so"
            + "".join(f"; did you mean {near}?" for near in did_you_mean(name, known, 1)),
        )
        for name in sorted(set(names) - set(known))
    ]


def _load(plugin: Plugin, entry: EntryPoint) -> Plugin:
    """Import a plugin and call its hooks, with what it prints sent to stderr."""
    light = _HEAVY - sys.modules.keys()
    try:
        with redirect_stdout(sys.stderr):
            implementation = entry.load()
            cards_by_kind = _call_hooks(plugin.name, implementation)
            short_names = bool(getattr(implementation, "short_names", True))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a plugin ends nobody's program
        text = "".join(traceback.format_exception(error))
        return replace(plugin, state="failed", reason=in_a_line(error), traceback=text)
    heavy = tuple(sorted(light & sys.modules.keys()))
    return replace(plugin, cards=cards_by_kind, heavy=heavy, short_names=short_names)


def _call_hooks(name: str, implementation: object) -> dict[str, tuple[Card, ...]]:
    """Check a plugin's hooks against the specifications, and collect their cards by kind."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(implementation, name)
    known = [hook for hook, _ in KINDS.values()]
    callers = {caller.name: caller for caller in manager.get_hookcallers(implementation) or ()}
    for hook in sorted(callers.keys() - set(known)):
        near = "".join(f"; did you mean {near}?" for near in did_you_mean(hook, known, 1))
        raise PluginError(f"{hook} is no hook of zoo{near}")
    for hook in known:
        if hook not in callers and isfunction(getattr(implementation, hook, None)):
            raise PluginError(f"{hook} is not marked with @hookimpl")
    return {
        kind: _check_cards(hook, callers[hook](), card_class)
        for kind, (hook, card_class) in KINDS.items()
        if hook in callers
    }


def _check_cards(hook: str, results: list[Any], card_class: type[Card]) -> tuple[Card, ...]:
    """The cards that one hook returned, if they are that."""
    cards_found: list[Card] = []
    for result in results:
        if not isinstance(result, Iterable) or isinstance(result, str | bytes):
            raise PluginError(f"{hook} returned {type(result).__name__}, not a list of cards")
        cards_found.extend(result)
    if not results:
        raise PluginError(f"{hook} returned None, not a list of cards")
    for card in cards_found:
        if not isinstance(card, card_class):
            raise PluginError(f"{hook} gave {type(card).__name__}, not {card_class.__name__}")
    for name, count in Counter(card.name for card in cards_found).items():
        if count > 1:
            raise PluginError(f"{hook} gave the name {name!r} {count} times")
    return tuple(cards_found)


def in_a_line(error: BaseException) -> str:
    """An exception's type and message in a line; one whose ``__str__`` raises, too.

    >>> in_a_line(ValueError("bad" + chr(10) + "news"))
    'ValueError: bad news'
    """
    if isinstance(error, PluginError):
        return error.cause
    try:
        message = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a stranger's exception may do anything
        message = "its message cannot be read"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
