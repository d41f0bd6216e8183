"""What is wrong with each installed plugin, found in processes of their own.

Most faults are in the plugin's record.  Those that end the process, or never end, are found by
loading each plugin alone.
"""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass
from typing import Any

from zoo.distributions._installed import home_page
from zoo.distributions._listing import PATIENCE_S, ListingError, list_afresh
from zoo.plugins import ONLY, Plugin, installed_plugins, plugin_choice


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A plugin, and what is wrong with it.

    Attributes:
        plugin, distribution, version, state: as in ``zoo plugins list``.
        reason: why it failed, in a line.
        location: of the line that failed, ``file:line``.
        line: its text.
        cure: what most likely helps.
        home_page: where to report it, if its metadata say so.
        notes: of one that works.
    """

    plugin: str
    distribution: str
    version: str
    state: str
    reason: str
    location: str
    line: str
    cure: str
    home_page: str
    notes: tuple[str, ...]


def diagnose_plugins(*, timeout_s: float = PATIENCE_S) -> list[Diagnosis]:
    """Look at every installed plugin; one that ends the process or hangs harms no other.

    Args:
        timeout_s: for a process that loads plugins.
    """
    environ = dict(os.environ)
    try:
        listing = list_afresh(environ, timeout_s=timeout_s)
    except ListingError:
        chosen = plugin_choice()
        by_name = {plugin.name: plugin for plugin, _ in installed_plugins()}
        listing = [
            record
            for name in sorted(by_name.keys() - chosen["without"])
            if chosen["only"] is None or name in chosen["only"]
            for record in _list_alone(by_name[name], environ, timeout_s)
        ]
    return [_diagnose(record) for record in listing]


def _list_alone(plugin: Plugin, environ: dict[str, str], timeout_s: float) -> list[dict[str, Any]]:
    """The records of a plugin's name, from a process that loads no other."""
    try:
        listing = list_afresh({**environ, ONLY: plugin.name}, timeout_s=timeout_s)
        return [record for record in listing if record["name"] == plugin.name]
    except ListingError as error:
        cure = f"Remove it: zoo plugins uninstall {plugin.distribution}"
        return [
            {
                **vars(plugin),
                "notes": plugin.notes,
                "state": "failed",
                "reason": error.cause,
                "cure": cure,
            }
        ]


def _diagnose(record: dict[str, Any]) -> Diagnosis:
    file, _, number = record["location"].rpartition(":")
    failed = record["state"] == "failed"
    return Diagnosis(
        plugin=record["name"],
        distribution=record["distribution"],
        version=record["version"],
        state=record["state"],
        reason=record["reason"],
        location=record["location"],
        line=linecache.getline(file, int(number)).strip() if number.isdigit() else "",
        cure=record["cure"],
        home_page=home_page(record["distribution"]) if failed and record["distribution"] else "",
        notes=tuple(record["notes"]),
    )
