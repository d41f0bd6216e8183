"""Install, upgrade and remove plugins: first a plan, then what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from zoo.distributions._installed import origin, plugin_distributions, resolve_distribution
from zoo.distributions._installer import (
    Change,
    Installer,
    constraints_file,
    find_installer,
    installed_version,
)
from zoo.distributions._listing import Listing, ListingError, list_afresh
from zoo.distributions._sources import read_source
from zoo.errors import UsageError
from zoo.plugins import UNKNOWN


@dataclass(frozen=True)
class Plan:
    """What is about to be done.

    Attributes:
        installer: that does it.
        command: that is given to it.
        changes: what it will change.
        notes: what else there is to say, a line each.
    """

    installer: Installer
    command: list[str]
    changes: list[Change]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The command, as one would type it."""
        return shlex.join(self.command)


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
        changes: that were made.
        brought: the plugins of the distributions that were changed, as ``zoo plugins list --json``
            has them.
        broken: plugins of other distributions that were loaded before and fail now.
    """

    changes: list[Change]
    brought: Listing
    broken: Listing

    @property
    def failed(self) -> Listing:
        """The plugins that do not work now."""
        return [p for p in self.brought if p["state"] == "failed"] + self.broken


@contextmanager
def plan_install(
    sources: Sequence[str],
    *,
    editable: Sequence[str] = (),
    upgrade: bool = False,
    pre: bool = False,
) -> Iterator[Plan]:
    """Plan to install names, folders, files and addresses; the plan holds within the context.

    Args:
        sources: what the user typed.
        editable: folders to link to instead of copying.
        upgrade: take the newest version of what is installed already.
        pre: versions before their release will do.

    Raises:
        UsageError: there is nothing to install, no installer, or no such path.
        InstallerError: the installer refuses.
    """
    if not sources and not editable:
        raise UsageError("nothing to install is named", "Name a plugin, a folder, a wheel, a URL.")
    wanted = [read_source(text) for text in sources]
    linked = [read_source(text) for text in editable]
    names = [source.requirement for source in wanted if source.name is None]
    installer = find_installer()
    with constraints_file() as constraints:
        command = installer.install(
            [source.requirement for source in wanted],
            editable=[source.requirement for source in linked],
            upgraded=names if upgrade else [],
            rebuilt=[source.name for source in wanted if source.name],
            pre=pre,
            constraints=constraints,
        )
        yield Plan(installer, command, installer.preview(command))


@contextmanager
def plan_upgrade(names: Sequence[str] = (), *, pre: bool = False) -> Iterator[Plan]:
    """Plan to upgrade the distributions of plugins; the plan holds within the context.

    One that came from an address or a folder comes from there again; one that is linked to its
    folder is what the folder is.

    Args:
        names: of plugins or distributions; default: all that bring plugins.

    Raises:
        UsageError: a name that is no plugin's, or no installer.
        InstallerError: the installer refuses.
    """
    chosen = [resolve_distribution(name) for name in names] or [
        name for name in plugin_distributions() if name != UNKNOWN
    ]
    requirements, rebuilt, notes = [], [], []
    for name in dict.fromkeys(chosen):
        came_from = origin(name)
        if note := _out_of_reach(name, came_from):
            notes.append(note)
            continue
        requirements.append(_requirement(name, came_from))
        rebuilt += [name] if came_from else []
    installer = find_installer()
    if not requirements:
        yield Plan(installer, [], [], tuple(notes))
        return
    with constraints_file() as constraints:
        command = installer.install(
            requirements,
            upgraded=[name for name in requirements if "@" not in name],
            rebuilt=rebuilt,
            pre=pre,
            constraints=constraints,
        )
        changes = installer.preview(command)
        yield Plan(installer, command, changes, tuple(notes))


def plan_uninstall(names: Sequence[str]) -> Plan:
    """Plan to remove distributions.

    Args:
        names: of plugins or distributions.

    Raises:
        UsageError: zoo itself, or no plugin; or no installer.
    """
    chosen = list(dict.fromkeys(resolve_distribution(name) for name in names))
    plugins = plugin_distributions()
    installer = find_installer()
    return Plan(
        installer,
        installer.uninstall(chosen),
        [Change(name, installed_version(name), None) for name in chosen],
        tuple(f"{name} brings {_plugins_text(plugins[name])}." for name in chosen),
    )


def _plugins_text(names: Sequence[str]) -> str:
    return f"the plugin{'s' * (len(names) > 1)} {' and '.join(names)}"


def carry_out(plan: Plan) -> Outcome:
    """Do what was planned, and look at the plugins afresh.

    Raises:
        InstallerError: the installer failed.
        ListingError: it was done, and a plugin ends every process that loads it.
    """
    try:
        before = {_key(plugin) for plugin in list_afresh() if plugin["state"] == "loaded"}
    except ListingError:  # it may be what this plan mends
        before = set()
    plan.installer.run(plan.command)
    try:
        after = list_afresh()
    except ListingError as error:
        cure = "`zoo plugins doctor` finds out which, `zoo plugins uninstall` removes it."
        raise ListingError(f"it was done, and now a plugin {error.cause}", cure) from error
    changed = {canonicalize_name(change.name) for change in plan.changes}
    brought = [p for p in after if canonicalize_name(p["distribution"]) in changed]
    broken = [p for p in after if p not in brought and p["state"] == "failed" and _key(p) in before]
    changes = [replace(change, after=installed_version(change.name)) for change in plan.changes]
    return Outcome(changes, brought, broken)


def _key(plugin: dict[str, str]) -> tuple[str, str]:
    return plugin["name"], plugin["distribution"]


def _out_of_reach(name: str, came_from: dict[str, Any]) -> str:
    """Why a distribution that came from an address or folder cannot be upgraded."""
    if came_from.get("dir_info", {}).get("editable"):
        return f"{name} is linked to {came_from['url']}: it is what that folder is."
    place = urlsplit(came_from.get("url", ""))
    if place.scheme == "file" and not Path(unquote(place.path)).exists():
        return f"{name} came from {came_from['url']}, which is not there any more."
    return ""


def _requirement(name: str, came_from: dict[str, Any]) -> str:
    """What to ask the installer for, to get a distribution anew from where it came."""
    if not came_from:
        return name
    vcs = came_from.get("vcs_info")
    if vcs:
        revision = f"@{vcs['requested_revision']}" if "requested_revision" in vcs else ""
        folder = f"#subdirectory={came_from['subdirectory']}" if "subdirectory" in came_from else ""
        return f"{name} @ {vcs['vcs']}+{came_from['url']}{revision}{folder}"
    return f"{name} @ {came_from['url']}"
