"""What the metadata of installed distributions say of their plugins; no plugin is imported.

A broken file of metadata must not hide the other plugins, so each distribution is read in
isolation as soon as one cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points

from zoo import __version__
from zoo.hooks import ENTRY_POINT_GROUP
from zoo.plugins._faults import in_a_line
from zoo.plugins._plugin import Plugin

_REQUIREMENT = re.compile(
    r"zoo[-_.]core(?![-_.\w])\s*(?:\[[^]]*\])?\s*\(?([^;@)]*)\)?\s*(?:;(.*))?", re.IGNORECASE
)
UNKNOWN = "unknown"
"""The distribution of a plugin whose metadata say of none."""
_USUAL = {">=0.1", "<0.2"}
"""What most plugins require of this zoo-core; other requirements are judged by ``packaging``,
whose import takes a third of the time of ``zoo list``."""


def installed_plugins() -> list[tuple[Plugin, EntryPoint | None]]:
    """A record of each installed plugin, with its entry point; None where it cannot be read."""
    try:
        found: Iterable[EntryPoint] = entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - one distribution's metadata are broken: find out whose
        return [pair for distribution in _first_of_each() for pair in _read(distribution)]
    return [(describe(entry), entry) for entry in found]


def _first_of_each() -> Iterator[Distribution]:
    """The installed distributions; of several with one name, the one that is imported."""
    seen = set()
    for distribution in distributions():
        name = _identity(distribution)[0]
        if name == UNKNOWN or name not in seen:
            yield distribution
        seen.add(name)


def _read(distribution: Distribution) -> list[tuple[Plugin, EntryPoint | None]]:
    """The plugins of one distribution."""
    try:
        points = [e for e in distribution.entry_points if e.group == ENTRY_POINT_GROUP]
        return [(describe(entry), entry) for entry in points]
    except Exception as error:  # noqa: BLE001 - whatever the file holds
        return [(_unreadable(distribution, error), None)] if _may_be_ours(distribution) else []


def _may_be_ours(distribution: Distribution) -> bool:
    """Whether a distribution whose entry points cannot be read may have plugins of zoo."""
    try:
        return ENTRY_POINT_GROUP in (distribution.read_text("entry_points.txt") or "")
    except ValueError:  # not even text
        return True


def _unreadable(distribution: Distribution, error: Exception) -> Plugin:
    name, version, _ = _identity(distribution)
    return Plugin(
        name=name,
        distribution=name,
        version=version,
        target="",
        state="failed",
        reason=f"its entry points cannot be read: {in_a_line(error)}",
        cure=f"Its installation is damaged: pip install --force-reinstall {name}",
    )


def describe(entry: EntryPoint) -> Plugin:
    """The record of an entry point before anything of the plugin runs."""
    name, version, needs = _identity(entry.dist) if entry.dist else (UNKNOWN, UNKNOWN, "")
    return Plugin(
        name=entry.name, distribution=name, version=version, target=entry.value, needs=needs
    )


def _identity(distribution: Distribution) -> tuple[str, str, str]:
    """Name, version and need of zoo-core; metadata that cannot be read say "unknown"."""
    try:
        metadata = distribution.metadata  # parsed anew each time that it is asked for
        name, version = metadata["Name"] or UNKNOWN, metadata["Version"] or UNKNOWN
        requirements = metadata.get_all("Requires-Dist") or ()
    except Exception:  # noqa: BLE001 - the file is missing, or no text, or no metadata
        return UNKNOWN, UNKNOWN, ""
    return name, version, _need_of_core(requirements)


def _need_of_core(requirements: Iterable[str]) -> str:
    """The versions of zoo-core that a distribution requires: ``>=0.1,<0.2``."""
    clauses = []
    for line in requirements:
        found = _REQUIREMENT.fullmatch(line.strip())
        if found and (found[2] is None or _applies(found[2])):
            clauses += [clause.strip() for clause in found[1].split(",") if clause.strip()]
    return ",".join(sorted(clauses, reverse=True))


def _applies(marker: str) -> bool:
    """Whether a requirement with a marker (``; extra == "dev"``) holds here."""
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(marker).evaluate({"extra": ""})
    except InvalidMarker:
        return True


def find_mismatch(plugin: Plugin) -> tuple[str, str]:
    """Why a plugin does not fit this zoo-core, and the cure; empty where it does."""
    clauses = plugin.needs.split(",") if plugin.needs else []
    if set(clauses) <= _USUAL:
        return "", ""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        needs = SpecifierSet(plugin.needs)
        least = SpecifierSet(",".join(c for c in clauses if c.startswith((">", "~", "="))))
    except InvalidSpecifier:
        cure = f"Tell the authors of {plugin.distribution}: a requirement is like zoo-core>=0.1."
        return f"what it needs of zoo-core, {plugin.needs!r}, cannot be read", cure
    if needs.contains(__version__, prereleases=True):
        return "", ""
    if least.contains(__version__, prereleases=True):
        cure = f"Fetch one for this zoo: `zoo plugins upgrade {plugin.distribution}`"
    else:
        cure = f"Upgrade zoo-core, or install an older {plugin.distribution}."
    return f"made for zoo-core{plugin.needs}; this is {__version__}", cure
