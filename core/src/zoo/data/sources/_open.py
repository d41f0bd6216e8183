"""From the words of ``--data`` to splits: ``name``, ``name:path``, ``path`` or ``layout:path``."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo.cards import DatasetCard
from zoo.config import DataConfig
from zoo.data.boxes import BoxedFiles, read_coco
from zoo.data.datasets import Dataset, FileDataset, Source, Splits, stratified_split
from zoo.data.masks import MaskedFiles
from zoo.data.sources._layouts import LAYOUTS, recognise
from zoo.data.sources._left_aside import left_aside
from zoo.data.sources._named import find_dataset, read_dataset
from zoo.data.sources._paths import exists, path_of
from zoo.data.sources._verify import check_images_are_there, leave_out_bad_images, settle_boxes
from zoo.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from zoo.registry import Entry, Registry

Message = Callable[[str], None]
_ORDER = ("train", "val", "test")
_ALIKE = 0.75
_MOST_COMPARED = 1000
"""Names beside a path that is misspelt."""
_TOO_FEW = (
    "Images are held out of each class that has two or more: add images, or give splits of your"
    " own, train and val."
)


def open_source(
    source: str,
    *,
    registry: Registry,
    data: DataConfig,
    message: Message,
    channels: int = 3,
    undivided: bool = False,
    unsettled: bool = False,
) -> Source:
    """Find out what ``source`` is, and its splits.

    Args:
        source: a registered name, ``name:path``, a path, or ``layout:path``.
        registry: of data set names.
        data: how to split, whether to download, what to do with bad images.
        message: told what a person should know (a split that was drawn, images left out).
        channels: that image files are decoded to.
        undivided: draw no validation split from data that have no splits of their own.
        unsettled: leave bad boxes and missing images as they are, for ``check_source``.

    Raises:
        DataError: nothing at that path, a layout that is not recognised, classes or images that
            cannot be used; says what was looked for.
        UnknownNameError: no name, and not spelt as a path.
    """
    layout, colon, path_text = source.partition(":")
    if not source or (layout in LAYOUTS and colon and not path_text):
        raise DataError(f"{source!r} names no data", "Is a variable of the shell not set?")
    if layout in LAYOUTS and path_text:
        path = path_of(path_text)
        return _open_path(path, layout, data, message, channels, undivided, unsettled)
    named = find_dataset(source, registry)
    if named is not None:
        return _open_named(
            source,
            *named,
            registry=registry,
            data=data,
            message=message,
            channels=channels,
            undivided=undivided,
        )
    path = path_of(source)
    if not exists(path):
        raise _nothing_there(path) if _is_spelt_as_path(source) else _unknown(source, registry)
    return _open_path(path, None, data, message, channels, undivided, unsettled)


def _open_named(
    source: str,
    entry: Entry,
    path: Path | None,
    *,
    registry: Registry,
    data: DataConfig,
    message: Message,
    channels: int,
    undivided: bool,
) -> Source:
    if path is None and exists(Path(source)):
        message(f"{source} is the registered data set; for the path, say ./{source}")
    splits = read_dataset(entry, registry, path=path, download=data.download)
    card = cast(DatasetCard, entry.card)
    found = _finish(
        card.name, "registered", splits, data, message, channels, card=card, undivided=undivided
    )
    place = entry.full_name if path is None else f"{entry.full_name}:{path.absolute()}"
    return replace(found, place=place)


def _open_path(
    path: Path,
    layout: str | None,
    data: DataConfig,
    message: Message,
    channels: int,
    undivided: bool,
    unsettled: bool,
) -> Source:
    if not exists(path):
        raise _nothing_there(path)
    try:
        layout = layout or recognise(path)
        if layout in ("masks", "stacks"):
            message("Every mask is read once, to see what its numbers mean.")
        splits = _read_layout(path, layout, data, channels, unsettled=unsettled)
    except OSError as error:  # not readable, a file for a folder
        place = error.filename or path
        raise DataError(f"{place} cannot be read: {error.strerror}", "Check the path.") from error
    if layout == "folders":
        used = (name for split in splits.values() for name in cast(FileDataset, split).names)
        for sentence in left_aside(path, used):
            message(sentence)
    first = next(iter(splits.values()))
    mended: Sequence[Mapping[str, Any]] = ()
    if isinstance(first, MaskedFiles):
        message(f"Numbers in masks mean: {first.mask_classes.described()}.")
        for note in first.notes:
            message(f"{note}.")
    if isinstance(first, BoxedFiles) and not unsettled:
        splits, mended = settle_boxes(splits, data.on_bad_box, message)
        if data.on_bad_image == "fail":
            check_images_are_there(splits)
    name = path.resolve().stem if path.is_file() else path.resolve().name
    found = _finish(name or "data", layout, splits, data, message, channels, undivided=undivided)
    return replace(found, place=f"{layout}:{path.absolute()}", mended_boxes=mended)


def _read_layout(
    path: Path, layout: str, data: DataConfig, channels: int, *, unsettled: bool
) -> Splits:
    """The splits that lie at a path.

    COCO states how large its many images are.  Where a wrong size would end the run anyway, it may
    do so when the image is read, and opening need not look into each.
    """
    if layout == "coco" and not unsettled and data.on_bad_box == data.on_bad_image == "fail":
        return read_coco(path, channels=channels, believe_sizes=True)
    return LAYOUTS[layout](path, channels=channels)


def _finish(
    name: str,
    layout: str,
    splits: Mapping[str, Dataset],
    data: DataConfig,
    message: Message,
    channels: int,
    *,
    card: Any = None,
    undivided: bool = False,
) -> Source:
    """Decode to the right channels, leave out bad images, and see to a validation split."""
    splits = {
        split: replace(dataset, channels=channels) if isinstance(dataset, FileDataset) else dataset
        for split, dataset in splits.items()
    }
    bad_images: dict[str, str] = {}
    if data.on_bad_image == "skip":
        splits, bad_images = leave_out_bad_images(splits, message)
    splits = {split: splits[split] for split in sorted(splits, key=_place)}
    whole = next(iter(splits.values())) if len(splits) == 1 else None
    if whole is None or not undivided:
        splits = _with_validation(splits, data, message)
    for split, dataset in splits.items():
        if not len(dataset):
            cure = "Add images to it." if whole is None else _TOO_FEW
            raise DataError(f"the {split} split of {name} has no images", cure)
    return Source(
        name=name,
        layout=layout,
        splits=splits,
        classes=next(iter(splits.values())).classes,
        card=card,
        bad_images=bad_images,
        whole=whole,
    )


def _with_validation(splits: Splits, data: DataConfig, message: Message) -> Splits:
    """Give splits without a "val" one: their "test", or a part of "train"."""
    if "val" in splits:
        return splits
    if "test" in splits:
        message("There is no val split: the test split is used to choose the best weights.")
        return {"train": splits["train"], "val": splits["test"]}
    ((_, whole),) = splits.items()
    if not isinstance(whole, FileDataset):
        raise DataError("these data have no val split", "Give them one: train and val.")
    if not 0 < data.val_fraction < 1:
        raise DataError(
            f"val_fraction is {data.val_fraction}, which leaves a split without images",
            "Set data.val_fraction between 0 and 1.",
        )
    keys = np.array([zlib.crc32(name.encode("utf-8", "surrogateescape")) for name in whole.names])
    train, val = stratified_split(
        whole.strata(), data.val_fraction, seed=data.split_seed, keys=keys
    )
    by_class = " by class" if whole.strata().any() else ""
    message(
        f"No val split: {len(val)} of {len(whole)} images are held out, drawn{by_class} with"
        f" split seed {data.split_seed}."
    )
    return {"train": whole.only(train), "val": whole.only(val)}


def _place(split: str) -> int:
    """In tables for people."""
    return _ORDER.index(split) if split in _ORDER else len(_ORDER)


def _is_spelt_as_path(source: str) -> bool:
    layout = source.partition(":")[0]
    return os.sep in source and layout == source


def _nothing_there(path: Path) -> DataError:
    """What to say of a path, with those beside it that are spelt alike."""
    try:
        beside = [entry.name for entry in islice(path.parent.iterdir(), _MOST_COMPARED)]
    except OSError:
        beside = []
    alike = [
        str(path.with_name(name)) for name in get_close_matches(path.name, beside, cutoff=_ALIKE)
    ]
    cure = f"Did you mean {' or '.join(alike)}?" if alike else "Check the path."
    return DataError(f"{path} does not exist", f"{cure} Data that have moved are named by --data.")


def _unknown(source: str, registry: Registry) -> UnknownNameError:
    names = [entry.card.name for entry in registry.entries("dataset")]
    head, _, path = source.rpartition(":")
    layouts = " or ".join(f"{name}:PATH" for name in LAYOUTS)
    return UnknownNameError(
        "data source",
        head if head and exists(Path(path)) else source,
        [*names, *LAYOUTS] if head else names,
        f"It is no path either. Registered: {', '.join(sorted(names)) or 'none'}. A path may be a"
        f" folder or a file, and {layouts} says which.",
    )
