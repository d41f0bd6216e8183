"""Make the proposals of a source's splits, and say how good they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from zoo.config import DataConfig
from zoo.data.datasets import Dataset
from zoo.data.sources import open_source
from zoo.errors import DataError, UnknownNameError
from zoo.inference import open_method
from zoo.proposals import (
    Bar,
    find_or_build,
    place_in_cache,
    recall,
    resolve_method,
    save_proposals,
)
from zoo.registry import Registry, default_registry

_ALL = "all"


@dataclass(frozen=True, kw_only=True)
class BuiltProposals:
    """The proposals of a split, or of all splits in one file.

    Attributes:
        data: name of the data.
        split: its name, or "all".
        images: of the split.
        proposals: of all its images.
        seconds: that it took; next to nothing where they were there already.
        recall: by IoU, the share of the objects that some proposal overlaps so much; nothing where
            the data have no boxes.
        method: what made them, as ``zoo.proposals.Method`` has it.
        sha256: of the proposals.
        file: that holds them.
    """

    data: str
    split: str
    images: int
    proposals: int
    seconds: float
    recall: Mapping[float, float]
    method: Mapping[str, Any]
    sha256: str
    file: Path


def build_proposals(  # noqa: PLR0913  (what a user may choose)
    source: str,
    *,
    method: str,
    options: Mapping[str, Any] | None = None,
    split: str = _ALL,
    output: Path | None = None,
    download: bool = False,
    on_bad_image: Literal["fail", "skip"] = "fail",
    on_bad_box: Literal["fail", "clip", "skip"] = "fail",
    device: str = "auto",
    registry: Registry | None = None,
    message: Callable[[str], None],
    bar: Bar | None = None,
) -> list[BuiltProposals]:
    """Find or make the proposals of some splits, as a training run would.

    Args:
        source: as of ``zoo train --data``.
        method: a proposer's name, or "rpn:RUN".
        options: of the proposer.
        split: "train", "val", "test", or "all" of them.
        output: one file for all of it, which does not exist yet; default: the cache alone, split
            by split.
        download, on_bad_image, on_bad_box: as of the config section ``[data]``.
        device: for a run that proposes.
        message: told what a person should know.
        bar: shows how far it is.

    Raises:
        UsageError: no such source, split or method, or the method needs what is not installed.
        DataError: an image cannot be read, or the output exists.
    """
    registry = registry or default_registry()
    if output is not None and output.exists():
        raise DataError(f"{output} exists already", "Give another name with --output.")
    chosen = resolve_method(method, options or {}, registry)
    opened = open_source(
        source,
        registry=registry,
        data=DataConfig(download=download, on_bad_image=on_bad_image, on_bad_box=on_bad_box),
        message=message,
    )
    if split not in (_ALL, *opened.splits):
        names = ", ".join((_ALL, *opened.splits))
        raise UnknownNameError("split", split, opened.splits, f"{opened.name} has {names}.")
    splits = {name: of for name, of in opened.splits.items() if split in (_ALL, name)}
    groups: dict[str, list[Dataset]] = {name: [of] for name, of in splits.items()}
    if output is not None:
        groups = {split: list(splits.values())}
    built = []
    for name, datasets in groups.items():
        start = time.monotonic()
        found = find_or_build(
            datasets,
            chosen,
            partial(open_method, registry=registry, device=device),
            message=message,
            bar=bar,
        )
        if output is not None:
            save_proposals(output, found)
        built.append(
            BuiltProposals(
                data=opened.name,
                split=name,
                images=len(found),
                proposals=len(found.boxes),
                seconds=time.monotonic() - start,
                recall=recall(datasets, found),
                method=chosen.to_json(),
                sha256=found.sha256(),
                file=output or place_in_cache(datasets, chosen),
            )
        )
    return built
