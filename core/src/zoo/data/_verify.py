"""Decode every image once, before training, to find those that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from zoo.data._dataset import Splits
from zoo.data._files import FileDataset
from zoo.errors import DataError

_NAMED = 5


def leave_out_bad_images(
    splits: Splits, message: Callable[[str], None]
) -> tuple[Splits, dict[str, str]]:
    """The splits without the files that cannot be decoded, and what is wrong with those."""
    total = sum(len(dataset) for dataset in splits.values())
    message(f"Decoding {total} images once, to leave out those that are damaged.")
    kept: dict[str, object] = {}
    bad: dict[str, str] = {}
    for split, dataset in splits.items():
        kept[split] = dataset
        if isinstance(dataset, FileDataset):
            faults = list(find_faults(dataset))
            bad.update(
                (dataset.describe(i), fault) for i, fault in enumerate(faults) if fault is not None
            )
            kept[split] = dataset.only([i for i, fault in enumerate(faults) if fault is None])
    if bad:
        named = "\n".join(f"  {fault}" for fault in list(bad.values())[:_NAMED])
        more = f"\n  and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        message(f"Left out {len(bad)} of {total} images:\n{named}{more}")
    return kept, bad  # type: ignore[return-value]


def find_faults(dataset: FileDataset) -> Iterator[str | None]:
    """For each image in order, what is wrong with it or None."""

    def fault(index: int) -> str | None:
        try:
            dataset.load(index)
        except DataError as error:
            return error.cause
        return None

    # Pillow decodes without holding the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        yield from pool.map(fault, range(len(dataset)))
