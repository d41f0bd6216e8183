"""Find what cannot be used before training: boxes that are wrong, images that cannot be decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import FileDataset, Splits
from zoo.errors import DataError
from zoo.wording import counted

_NAMED = 5


def leave_out_bad_images(
    splits: Splits, message: Callable[[str], None]
) -> tuple[Splits, dict[str, str]]:
    """The splits without the files that cannot be decoded, and what is wrong with those."""
    total = sum(len(dataset) for dataset in splits.values())
    message(f"Decoding {counted(total, 'image')} once, to leave out those that are damaged.")
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
        message(f"Left out {len(bad)} of {counted(total, 'image')}:\n{named}{more}")
    return kept, bad  # type: ignore[return-value]


def settle_boxes(
    splits: Splits, on_bad_box: Literal["fail", "clip", "skip"], message: Callable[[str], None]
) -> tuple[Splits, list[dict[str, Any]]]:
    """The splits with good boxes alone, and what was done to each bad one, as JSON.

    Raises:
        DataError: there is something wrong, and ``on_bad_box`` is "fail"; names file and number.
    """
    boxed = [dataset for dataset in splits.values() if isinstance(dataset, BoxedFiles)]
    bad = [box.cause for dataset in boxed for box in dataset.bad_boxes]
    broken = [cause for dataset in boxed for cause in dataset.faults.values()]
    if not bad and not broken:
        return splits, []
    found = [counted(len(bad), "bad box")] if bad else []
    if broken:
        found.append(f"{counted(len(broken), 'annotation')} that cannot be read")
    named = [*bad, *broken]
    lines = "\n".join(f"  {cause}" for cause in named[:_NAMED])
    more = f"\n  and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    if on_bad_box == "fail":
        raise DataError(
            f"{' and '.join(found)}:\n{lines}{more}",
            "See all with `zoo data check`; mend them, or say --on-bad-box clip or skip.",
        )
    message(f"{' and '.join(found)} ({on_bad_box}):\n{lines}{more}")
    done = [mending for dataset in boxed for mending in _mendings(dataset, on_bad_box)]
    settled = {
        split: dataset.settled(on_bad_box) if isinstance(dataset, BoxedFiles) else dataset
        for split, dataset in splits.items()
    }
    return settled, done


def _mendings(dataset: BoxedFiles, on_bad_box: Literal["clip", "skip"]) -> Iterator[dict[str, Any]]:
    """Image, number of the box on it (None: not about one), what was wrong, what was done."""
    for bad in dataset.bad_boxes:
        box = bad.row if bad.row >= 0 else None
        done = bad.outcome(on_bad_box)
        yield {"image": bad.image, "box": box, "cause": bad.cause, "done": done}
    for image, cause in dataset.faults.items():
        yield {"image": image, "box": None, "cause": cause, "done": "image left out"}


def check_images_are_there(splits: Splits) -> None:
    """Refuse images with boxes of which the size could not even be read.

    Raises:
        DataError: naming the first ones.
    """
    boxed = [dataset for dataset in splits.values() if isinstance(dataset, BoxedFiles)]
    missing = [cause for dataset in boxed for cause in dataset.unreadable.values()]
    if missing:
        more = (
            f"; and {counted(len(missing) - _NAMED, 'more image')}" if len(missing) > _NAMED else ""
        )
        raise DataError(
            "; ".join(missing[:_NAMED]) + more,
            "Check the paths, or leave bad images out with --on-bad-image skip.",
        )


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
