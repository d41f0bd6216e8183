"""Look at data before training on them, and pack them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.config import DataConfig
from zoo.data.packs import Packing, PackResult, write_pack
from zoo.data.sources import SourceCheck, check_source, open_source
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


def pack_data(
    source: str,
    output: Path,
    *,
    packing: Packing | None = None,
    channels: int = 3,
    workers: int | None = None,
    data: DataConfig | None = None,
    message: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> PackResult:
    """Write the images of a source into one file for each split.

    Args:
        source: a registered name, ``name:path``, a path, or ``layout:path``.
        output: the folder of the pack; it does not exist, or is empty.
        packing: format and size; default: JPEG, 256 px.
        channels: to decode to: 1, 3 or 4.
        workers: threads; default: as many as there are processors.
        data: what to do with bad images and boxes, and whether to download.
        message: told what a person should know.
        progress: told how many images are done, of how many.

    Raises:
        DataError: the source cannot be opened or packed, or an image not be read.
        UsageError: ``output`` is no new or empty folder, or lies among what is packed.
        StorageError: the disk has not the room, or fails.
    """
    opened = open_source(
        source,
        registry=default_registry(),
        data=data or DataConfig(),
        message=message,
        channels=channels,
        undivided=True,
    )
    return write_pack(opened, output, packing or Packing(), workers=workers, progress=progress)
