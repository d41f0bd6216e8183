"""Which distributions bring plugins, from their metadata: no plugin is loaded for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from packaging.utils import canonicalize_name

from zoo.errors import UnknownNameError, UsageError
from zoo.plugins import UNKNOWN, installed_plugins

_WHERE_TO_REPORT = ("issues", "bug", "tracker", "report", "home", "repository", "source")
"""Parts of the labels of a project's addresses, the best first."""


def plugin_distributions() -> dict[str, list[str]]:
    """The names of the plugins of each installed distribution that has some."""
    found: dict[str, list[str]] = {}
    for plugin, _ in installed_plugins():
        found.setdefault(plugin.distribution, []).append(plugin.name)
    return {name: sorted(plugins) for name, plugins in sorted(found.items())}


def resolve_distribution(name: str) -> str:
    """The distribution that a plugin's or a distribution's name means.

    Raises:
        UnknownNameError: no installed plugin or distribution with plugins is called so.
        UsageError: it is zoo itself, has no plugin, or two distributions have a plugin so called.
    """
    wanted = canonicalize_name(name)
    if wanted in ("zoo", "core", "zoo-core"):
        raise UsageError("zoo-core is zoo itself, no plugin", "Use pip or uv to change it.")
    found = plugin_distributions()
    if name in found.pop(UNKNOWN, ()):
        raise UsageError(
            f"no metadata say which distribution {name!r} is of",
            "Install it again with pip or uv; then it can be changed.",
        )
    for candidate in found:
        if canonicalize_name(candidate) == wanted:
            return candidate
    owners = [each for each, names in found.items() if wanted in map(canonicalize_name, names)]
    if len(owners) > 1:
        raise UsageError(f"plugin {name!r} is of {' and of '.join(owners)}", "Name one of these.")
    if owners:
        return owners[0]
    if _is_installed(name):
        raise UsageError(f"{name} brings no plugin of zoo", "Use pip or uv to change it.")
    known = {*found, *(plugin for plugins in found.values() for plugin in plugins)}
    raise UnknownNameError("plugin", name, known, "See `zoo plugins list`.")


def origin(name: str) -> dict[str, Any]:
    """Where a distribution was installed from, if not by its name (PEP 610); else empty."""
    try:
        text = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def home_page(name: str) -> str:
    """Where to report a fault of a distribution, from its metadata; empty where they say none."""
    try:
        metadata = distribution(name).metadata
        lines = metadata.get_all("Project-URL") or []
        home, *_ = metadata.get_all("Home-page") or [""]
    except (PackageNotFoundError, ValueError):
        return ""
    labelled = [line.partition(",") for line in lines]
    addresses = [(label.lower(), address.strip()) for label, _, address in labelled]
    return _best(addresses) or home


def _best(addresses: Sequence[tuple[str, str]]) -> str:
    for part in _WHERE_TO_REPORT:
        for label, address in addresses:
            if part in label:
                return address
    return ""


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    return True
