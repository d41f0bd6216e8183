"""Names to cards: one owner per name, and a suggestion for a name that nobody has.

A full name is ``plugin:name`` and always reaches its card.  A short name belongs to the
first-party plugin that has it; else to the one other plugin that has it; else, if all who have it
are bridges to other zoos (which take no short names), to the one bridge, and that choice is
printed.  A short name that two may claim alike is an error that names both, for that name only.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

from zoo.cards import Card, CardTable
from zoo.errors import PluginCodeError, PluginError, UnknownNameError, UsageError, did_you_mean
from zoo.plugins import KINDS as _HOOKS
from zoo.plugins import (
    Plugin,
    describe_fault,
    load_plugins,
    plugin_choice,
    process_state_kept,
)

_PARTS = re.compile(r"[0-9]+|[^0-9]+")
KINDS = tuple(_HOOKS)
"""The kinds of things that have names: "model", "dataset", "task", ..."""


@dataclass(frozen=True)
class Entry:
    """A card and who it comes from."""

    card: Card
    plugin: str
    distribution: str
    version: str

    @property
    def full_name(self) -> str:
        """``plugin:name``, which reaches this card whatever else is installed."""
        return f"{self.plugin}:{self.card.name}"

    @property
    def package(self) -> str:
        """The top-level package of its factory."""
        return self.card.factory.partition(":")[0].partition(".")[0]

    def failure(self, verb: str, error: BaseException) -> PluginCodeError:
        """What to raise where its code raised.

        Args:
            verb: what could not be done with it: "built".
        """
        fault = describe_fault(error, distribution=self.distribution, package=self.package)
        place = f" ({fault.location})" if fault.location else ""
        return PluginCodeError(
            f"{self.full_name} of {self.distribution} {self.version} cannot be {verb}: "
            f"{fault.reason}{place}",
            fault.cure,
        )


class Registry:
    """What the loaded plugins registered, by kind and name.

    Args:
        plugins: as ``zoo.plugins.load_plugins`` gives them; those that failed serve the messages.
        notify: told in a sentence when a short name is taken from a bridge.
    """

    def __init__(
        self, plugins: Sequence[Plugin], *, notify: Callable[[str], None] | None = None
    ) -> None:
        self.plugins = tuple(plugins)
        self._notify = notify or _print_once()
        self._owners = {plugin.name: plugin for plugin in plugins if plugin.state == "loaded"}
        # Filled when a kind is asked for, and a card of a table when it is.
        self._makers: dict[tuple[str, str], Mapping[str, Callable[[], Card]]] = {}
        self._claims: dict[str, dict[str, list[Plugin]]] = {}
        self._entries: dict[tuple[str, str, str], Entry] = {}

    def get(self, kind: str, name: str, *, on_card_of: Entry | None = None) -> Entry:
        """The entry of a short or full name.

        Args:
            kind: one of ``KINDS``.
            on_card_of: the entry whose card says the name (a model's recipe): what that entry's
                own plugin calls so comes first.

        Raises:
            UnknownNameError: nobody has it; suggests near names.
            PluginError: the plugin in a full name is disabled or failed to load.
            UsageError: two plugins have this short name.
        """
        if ":" in name:
            return self._get_full(kind, name)
        if on_card_of and name in self._cards_of(kind, on_card_of.plugin):
            return self._entry(kind, on_card_of.plugin, name)
        heirs = self._heirs(kind, name)
        if not heirs:
            raise self._unknown(kind, name)
        if len(heirs) > 1:
            owners = " and ".join(f"{p.name}:{name} (of {p.distribution})" for p in heirs)
            raise UsageError(f"{kind} {name!r} is claimed by {owners}", "Use the full name.")
        if not heirs[0].short_names:
            self._notify(f"{kind} {name!r} is taken from {heirs[0].name}:{name}")
        return self._entry(kind, heirs[0].name, name)

    def task_of(self, model: Entry) -> Entry:
        """The task that a model's card names.

        Raises:
            UsageError: nothing that is installed has it.
        """
        task = getattr(model.card, "task", "")
        try:
            return self.get("task", task, on_card_of=model)
        except UnknownNameError as error:
            raise UsageError(
                f"{model.full_name} is for the task {task!r}, which nothing installed can do",
                "`zoo list tasks` shows the tasks, and `zoo list --task NAME` the models of one.",
            ) from error

    def default_dataset(self, task: Entry) -> Entry:
        """What a run of a task takes that names no data; the task's own plugin comes first.

        Raises:
            UnknownNameError: nobody has what the card names.
        """
        return self.get("dataset", getattr(task.card, "default_dataset", ""), on_card_of=task)

    def has_classes(self, task: Entry) -> bool:
        """Whether a task tells named classes apart, as its default data do."""
        return getattr(self.default_dataset(task).card, "classes", 0) > 0

    def entries(
        self, kind: str, pattern: str | None = None, *, bridges: bool = True
    ) -> list[Entry]:
        """The entries of a kind, in the order of their names; resnet20 stands before resnet110.

        Args:
            kind: one of ``KINDS``.
            pattern: only those that it matches (``matches``).
            bridges: with those of plugins that take no short names.
        """
        found = [
            (_natural(name), owner.name, name)
            for name, owners in self._owners_of(kind).items()
            for owner in owners
            if (bridges or owner.short_names) and matches(f"{owner.name}:{name}", pattern)
        ]
        return [e for _, owner, name in sorted(found) if (e := self._readable(kind, owner, name))]

    def shown_name(self, kind: str, entry: Entry) -> str:
        """The shortest name that reaches an entry without a message."""
        owner = self._owners[entry.plugin]
        heirs = self._heirs(kind, entry.card.name)
        alone = len(heirs) == 1 and heirs[0] is owner and owner.short_names
        return entry.card.name if alone else entry.full_name

    def load(self, entry: Entry) -> Callable[..., Any]:
        """Import the factory of an entry and bind the card's options.

        Raises:
            PluginCodeError: naming the distribution and version, and what went wrong.
        """
        module, _, attribute = entry.card.factory.partition(":")
        try:
            with process_state_kept() as changed:
                factory: Callable[..., Any] = getattr(import_module(module), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise entry.failure("loaded", error) from error
        if changed:
            what = " and ".join(changed)
            self._notify(f"{entry.full_name} changes {what} where it is imported; it is undone")
        if not entry.card.options:
            return factory
        with contextlib.suppress(ValueError):  # some builtins have no signature
            try:
                inspect.signature(factory).bind_partial(**entry.card.options)
            except TypeError as error:
                fault = TypeError(f"{attribute} does not take what the card binds: {error}")
                raise entry.failure("built", fault) from error
        return functools.partial(factory, **entry.card.options)

    def _cards_of(self, kind: str, plugin: str) -> Mapping[str, Callable[[], Card]]:
        """What gives a loaded plugin's cards, by short name; a table makes each when asked."""
        if (kind, plugin) not in self._makers:
            cards = self._owners[plugin].cards.get(kind, ())
            self._makers[kind, plugin] = (
                {name: functools.partial(cards.card, name) for name in cards.rows}
                if isinstance(cards, CardTable)
                else {card.name: functools.partial(_given, card) for card in cards}
            )
        return self._makers[kind, plugin]

    def _owners_of(self, kind: str) -> Mapping[str, list[Plugin]]:
        """The plugins that have a short name, by short name."""
        if kind not in self._claims:
            claims: dict[str, list[Plugin]] = {}
            for owner in self._owners.values():
                for name in self._cards_of(kind, owner.name):
                    claims.setdefault(name, []).append(owner)
            self._claims[kind] = claims
        return self._claims[kind]

    def _entry(self, kind: str, plugin: str, name: str) -> Entry:
        """The entry of a name that the plugin has.

        Raises:
            PluginError: the row of its table makes no card.
        """
        key = kind, plugin, name
        if key not in self._entries:
            owner = self._owners[plugin]
            try:
                card = self._cards_of(kind, plugin)[name]()
            except Exception as error:
                fault = describe_fault(
                    error, distribution=owner.distribution, package=owner.package
                )
                raise PluginError(
                    f"{plugin}:{name} of {owner.distribution} {owner.version} has no card: "
                    f"{fault.reason}",
                    f"Upgrade {owner.distribution}, or report it there.",
                ) from error
            self._entries[key] = Entry(card, plugin, owner.distribution, owner.version)
        return self._entries[key]

    def _readable(self, kind: str, plugin: str, name: str) -> Entry | None:
        """The entry, or a message where its card cannot be read."""
        try:
            return self._entry(kind, plugin, name)
        except PluginError as error:
            self._notify(error.cause)
            return None

    def _heirs(self, kind: str, name: str) -> list[Plugin]:
        """The plugins with the best claim on a short name; more than one is a clash."""
        claims: Mapping[int, list[Plugin]] = {0: [], 1: [], 2: []}
        for owner in self._owners_of(kind).get(name, ()):
            claims[2 if not owner.short_names else not owner.first_party].append(owner)
        return claims[0] or claims[1] or claims[2]

    def _get_full(self, kind: str, name: str) -> Entry:
        owner, _, short = name.partition(":")
        if owner in self._owners and short in self._cards_of(kind, owner):
            return self._entry(kind, owner, short)
        for plugin in self.plugins:
            if plugin.name == owner and plugin.state != "loaded":
                raise PluginError(
                    f"plugin {owner!r} of {kind} {name!r} is {plugin.state}: {plugin.reason}",
                    plugin.cure or "See `zoo plugins list`.",
                )
        if owner not in self._owners:
            raise UnknownNameError("plugin", owner, self._owners, "See `zoo plugins list`.")
        raise self._unknown(kind, name)

    def _unknown(self, kind: str, name: str) -> UnknownNameError:
        owners = self._owners_of(kind)
        known: Collection[str] = owners
        if ":" in name:
            known = [f"{p.name}:{short}" for short, those in owners.items() for p in those]
        cure = f"See `zoo list {kind}s`."
        others = [other for other in KINDS if other != kind and name in self._owners_of(other)]
        if others and not did_you_mean(name, known):
            cure = f"{name} is a {others[0]}. {cure}"
        if unloaded := [p.name for p in self.plugins if p.state == "failed"]:
            names = ", ".join(unloaded[:3])
            cure += (
                f" It may belong to a plugin that failed to load ({names}): `zoo plugins doctor`."
            )
        return UnknownNameError(kind, name, known, cure)


def list_models(
    pattern: str | None = None, *, task: str | None = None, registry: Registry | None = None
) -> list[str]:
    """The names of all models, as ``build_model`` takes them.

    Args:
        pattern: a part of the name, or a glob ("resnet*_32x4d").
        task: only models that this task trains.
        registry: default: of the installed plugins.

    >>> "resnet34" in list_models("resnet*", task="classification")
    True
    """
    registry = registry or default_registry()
    return [
        registry.shown_name("model", entry)
        for entry in registry.entries("model", pattern)
        if task in (None, getattr(entry.card, "task", None))
    ]


def matches(full_name: str, pattern: str | None) -> bool:
    """Whether a pattern is a part of a full name, or a glob of it or of its short name."""
    if pattern is None:
        return True
    if set(pattern) & set("*?["):
        short = full_name.partition(":")[2]
        return fnmatchcase(short, pattern) or fnmatchcase(full_name, pattern)
    return pattern in full_name


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key by which the numbers in names count as numbers."""
    parts = _PARTS.findall(name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _given(card: Card) -> Card:
    return card


@functools.cache
def default_registry() -> Registry:
    """Core's own cards and those of the installed plugins; loaded once in a process.

    ``ZOO_PLUGINS=a,b`` loads only these plugins, ``ZOO_DISABLE_PLUGINS=c`` all but these.
    """
    plugins = load_plugins(**plugin_choice())
    notify = _print_once()
    for plugin in plugins:
        if plugin.doubled:
            notify(f"{plugin.doubled}; `zoo doctor` says what helps")
    return Registry(plugins, notify=notify)


def _print_once() -> Callable[[str], None]:
    """Prints each message once, on stderr."""

    @functools.cache
    def notify(message: str) -> None:
        print(message, file=sys.stderr)  # noqa: T201 - the registry lies below every reporter

    return notify
