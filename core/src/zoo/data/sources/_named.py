"""Registered data sets: found in the words of ``--data``, and read from their folder."""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cache import cache_folder
from zoo.data.datasets import Splits
from zoo.data.sources._layouts import LAYOUTS
from zoo.data.sources._paths import exists, path_of
from zoo.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from zoo.registry import Entry, Registry


def find_dataset(source: str, registry: Registry) -> tuple[Entry, Path | None] | None:
    """The registered data set that ``NAME`` or ``NAME:PATH`` names, and the path.

    NAME may be full: ``plugin:name:path``.  A layout's name comes before a data set's.

    Returns:
        None where the source names no data set: it is a path, ``layout:path``, or nothing.

    Raises:
        DataError: there is a colon, and no path after it.
        PluginError: the plugin in a full name is disabled or failed to load.
        UsageError: two plugins have this short name.
    """
    parts = source.split(":")
    if parts[0] in LAYOUTS and len(parts) > 1:
        return None
    for count in (2, 1):  # a plugin may be called as one of its data sets is
        name, path = ":".join(parts[:count]), ":".join(parts[count:])
        try:
            entry = registry.get("dataset", name)
        except UnknownNameError:
            continue
        if len(parts) <= count:
            return entry, None
        if not path:
            raise DataError(f"there is no path after {source}", "Leave the last colon out.")
        return entry, path_of(path)
    return None


def read_dataset(
    entry: Entry, registry: Registry, *, path: Path | None = None, download: bool = False
) -> Splits:
    """The splits of a registered data set, as its factory gives them.

    The factory is given ``root`` and ``download`` if it takes them.

    Args:
        path: its root; default: its own folder in the cache, which need not exist.
        download: fetch what is missing.

    Raises:
        DataError: the path does not exist, or the data set reads no files.
    """
    factory = registry.load(entry)
    parameters = signature(factory).parameters
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    if path is not None and not (takes_any or "root" in parameters):
        raise DataError(
            f"{entry.full_name} reads no files, so it has nothing to do with {path}",
            f"Leave the path out, or say which layout it has: {', '.join(LAYOUTS)}.",
        )
    if path is not None and not exists(path) and not download:
        raise DataError(f"{path} does not exist", f"Give a path that {entry.full_name} can read.")
    root = path or cache_folder() / "data" / entry.plugin / entry.card.name
    given = {"root": root, "download": download}
    splits: Splits = factory(**{k: v for k, v in given.items() if takes_any or k in parameters})
    return splits
