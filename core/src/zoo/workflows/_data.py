"""Look at data before training on them."""

from __future__ import annotations

from collections.abc import Callable

from zoo.config import DataConfig
from zoo.data import SourceCheck, check_source, open_source
from zoo.registry import default_registry


def check_data(
    source: str,
    *,
    download: bool = False,
    message: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> SourceCheck:
    """Open a source as training would, decode all of it, and say what is wrong with it.

    Args:
        source: a registered name, ``name:path``, a path, or ``layout:path``.
        download: fetch a registered data set that is not here yet.
        message: told what a person should know.
        progress: told how many images are done, of how many.

    Raises:
        DataError: the source cannot be opened at all.
    """
    opened = open_source(
        source,
        registry=default_registry(),
        data=DataConfig(download=download),
        message=message,
        unsettled=True,
    )
    return check_source(opened, progress=progress)
