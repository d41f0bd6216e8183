"""Load plugins: choose, import, call the hooks; each in isolation."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

from zoo import __version__
from zoo.cards import check_name
from zoo.errors import did_you_mean
from zoo.hooks import ENTRY_POINT_GROUP
from zoo.plugins._calling import call_hooks
from zoo.plugins._copies import Copy, describe_copies, plain_name, several_versions
from zoo.plugins._faults import describe_fault
from zoo.plugins._metadata import describe, find_mismatch, installed_plugins
from zoo.plugins._plugin import Plugin
from zoo.plugins._process_state import process_state_kept

ONLY = "ZOO_PLUGINS"
"""Environment: the plugins to load, comma-separated; empty for none."""
WITHOUT = "ZOO_DISABLE_PLUGINS"
"""Environment: plugins not to load, comma-separated."""

_HEAVY = frozenset({"torch", "torchvision", "numpy", "PIL"})
_CORE = EntryPoint("core", "zoo.builtin", ENTRY_POINT_GROUP)
_PATIENCE_S = 5.0
"""How long plugins may take before the one that is loading is named."""


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
    copies = several_versions()
    described = installed_plugins() if found is None else [(describe(e), e) for e in found]
    described = [
        (replace(plugin, copies=describe_copies(plugin.distribution, copies)), entry)
        for plugin, entry in described
    ]
    described += _find_hidden([plugin for plugin, _ in described], copies)
    pairs = sorted(described, key=lambda pair: _order(pair[0]))
    installed = [plugin for plugin, _ in pairs]
    core = Plugin(
        name=_CORE.name,
        distribution="zoo-core",
        version=__version__,
        target=_CORE.value,
        copies=describe_copies("zoo-core", copies),
    )
    plugins = [_load(core, _CORE)]
    with _waiting_told() as now_loading:
        for plugin, entry in pairs:
            now_loading(plugin)
            ruled_out = _left_out(plugin, only, without) or _refusal(plugin, installed)
            plugins.append(ruled_out or _load(plugin, entry))
    return [*plugins, *_absent(only or (), installed, ONLY), *_absent(without, installed, WITHOUT)]


def plugin_choice(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the environment says of ``load_plugins``' arguments ``only`` and ``without``."""

    def names(variable: str) -> frozenset[str]:
        return frozenset(environ.get(variable, "").replace(",", " ").split())

    return {"only": names(ONLY) if ONLY in environ else None, "without": names(WITHOUT)}


def _order(plugin: Plugin) -> tuple[bool, str, str, str]:
    return (not plugin.first_party, plugin.name, plugin.distribution, plugin.target)


def _left_out(
    plugin: Plugin, only: Collection[str] | None, without: Collection[str]
) -> Plugin | None:
    """The record of a plugin that the user leaves out."""
    if only is not None and plugin.name not in only:
        reason = f"{ONLY} does not name it" if only else f"--no-plugins, or {ONLY} is empty"
        return replace(plugin, state="disabled", reason=reason)
    if plugin.name in without:
        return replace(plugin, state="disabled", reason=f"{WITHOUT} names it")
    return None


def _refusal(plugin: Plugin, installed: Sequence[Plugin]) -> Plugin | None:
    """The record of a plugin that its metadata rule out."""
    for reason, cure in (
        _find_malformed(plugin),
        _find_clash(plugin, installed),
        find_mismatch(plugin),
    ):
        if reason:
            return replace(plugin, state="failed", reason=reason, cure=cure)
    return None


def _find_malformed(plugin: Plugin) -> tuple[str, str]:
    """Why an entry point is none, if it is not: ``name = module``, with a name as cards have."""
    if plugin.state == "failed":  # its metadata cannot be read, and its record says so
        return "", ""
    cure = f"Tell the authors of {plugin.distribution}: an entry point is like net = zoo_net.plugin"
    try:
        check_name(plugin.name)
    except ValueError as error:
        return str(error), cure
    if not EntryPoint.pattern.match(plugin.target):
        return f"its entry point {plugin.target!r} names no module", cure
    return "", ""


def _find_clash(plugin: Plugin, installed: Sequence[Plugin]) -> tuple[str, str]:
    """Why a plugin may not have its name, if another has it: strangers then both lose it."""
    if plugin.name == _CORE.name:
        return f"the name {_CORE.name!r} is zoo's own", _uninstall(plugin)
    others = [o for o in installed if o.name == plugin.name and o is not plugin]
    if plugin.first_party:
        others = [other for other in others if other.first_party]
    if not others:
        return "", ""
    owners = ", ".join(f"{other.distribution} {other.version}" for other in others)
    cure = _uninstall(plugin if others[0].first_party else others[0], plugin)
    return f"the name {plugin.name!r} is also that of a plugin of {owners}", cure


def _uninstall(*plugins: Plugin) -> str:
    """One of the commands that end a clash."""
    names = sorted({plugin.distribution for plugin in plugins})
    commands = " or ".join(f"`zoo plugins uninstall {name}`" for name in names)
    return f"Keep one of them: {commands}."


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
            cure=f"Correct {variable}, or install the plugin.",
            reason=f"{variable} names it, and no installed plugin is called so"
            + "".join(f"; did you mean {near}?" for near in did_you_mean(name, known, 1)),
        )
        for name in sorted(set(names) - set(known))
    ]


def _find_hidden(
    described: Sequence[Plugin], copies: Mapping[str, list[Copy]]
) -> list[tuple[Plugin, EntryPoint | None]]:
    """A failed record for each distribution whose plugins another version of it hides."""
    known = {plain_name(plugin.distribution) for plugin in described}
    return [
        (_hidden(each, describe_copies(name, copies)), None)
        for name, those in copies.items()
        for each in those[1:]
        if name not in known and each.has_plugins
    ]


def _hidden(copy: Copy, copies: tuple[str, ...]) -> Plugin:
    return Plugin(
        name=copy.name,
        distribution=copy.name,
        version=copy.version,
        target="",
        state="failed",
        reason=f"hidden by another version of {copy.name}, {copies[0]}",
        cure=f"pip uninstall {copy.name}, until none is left; then install it again.",
        copies=copies,
    )


@contextmanager
def _waiting_told() -> Iterator[Callable[[Plugin], None]]:
    """Say whom zoo waits for when loading takes long: a hang cannot be told from a slow disk.

    Yields:
        A function to tell which plugin is next.
    """
    current: list[Plugin] = []

    def tell() -> None:
        for plugin in current:
            print(  # noqa: T201 - plugins lie below every reporter
                f"Still loading plugin {plugin.name} of {plugin.distribution} {plugin.version}; "
                f"{WITHOUT}={plugin.name} leaves it out.",
                file=sys.stderr,
            )

    def now_loading(plugin: Plugin) -> None:
        current[:] = [plugin]

    timer = threading.Timer(_PATIENCE_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield now_loading
    finally:
        timer.cancel()
        timer.join()


def _load(plugin: Plugin, entry: EntryPoint | None) -> Plugin:
    """Import a plugin and call its hooks, with what it prints sent to stderr."""
    if entry is None:  # its metadata could not be read, and its record says so
        return plugin
    light = _HEAVY - sys.modules.keys()
    try:
        with redirect_stdout(sys.stderr), process_state_kept() as changed:
            implementation = entry.load()
            cards_by_kind = call_hooks(plugin.name, implementation)
            short_names = bool(getattr(implementation, "short_names", True))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a plugin ends nobody's program
        fault = describe_fault(error, distribution=plugin.distribution, package=plugin.package)
        return replace(plugin, state="failed", **vars(fault))
    heavy = tuple(sorted(light & sys.modules.keys()))
    return replace(
        plugin,
        cards=cards_by_kind,
        heavy=heavy,
        changed=tuple(changed),
        short_names=short_names,
    )
