"""What a user should know of masks before training: shares of the classes, masks without use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.data.datasets import Resident
from zoo.data.masks import MaskedFiles
from zoo.errors import DataError
from zoo.structures import IGNORED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.data.datasets import Dataset

_MANY_CLASSES = 20
"""Above this, shares are summed up instead of listed."""
_NAMED = 3


def class_pixels(dataset: Dataset) -> list[int] | None:
    """Pixels of each class, and at the end those ignored; None where only decoding would tell."""
    if isinstance(dataset, MaskedFiles):
        return [int(n) for n in dataset.pixels.sum(0)]
    if isinstance(dataset, Resident) and "masks" in dataset.targets:
        masks = dataset.targets["masks"].flatten()
        counts = torch.bincount(masks, minlength=IGNORED + 1).tolist()
        return [*counts[: len(dataset.classes)], counts[IGNORED]]
    return None


def check_usable(splits: Mapping[str, Dataset]) -> None:
    """Refuse splits with masks that cannot be used.

    Raises:
        DataError: says how many, and what is wrong with the first of them.
    """
    files = [dataset for dataset in splits.values() if isinstance(dataset, MaskedFiles)]
    faults = [fault for dataset in files for fault in dataset.faults.values()]
    if faults:
        total = sum(map(len, files))
        more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise DataError(
            f"{len(faults)} of {total} masks cannot be used: {'; '.join(faults[:_NAMED])}{more}",
            "See all with `zoo data check`; leave them out with --on-bad-image skip.",
        )


def share_lines(classes: Sequence[str], pixels: Mapping[str, Sequence[int] | None]) -> list[str]:
    """A line for each split: the share of each class, which shows what is rare."""
    lines = []
    for split, counts in pixels.items():
        total = sum(counts[:-1]) if counts else 0
        if not counts or not total:
            continue
        shares = [100 * count / total for count in counts[:-1]]
        ignored = f"; {100 * counts[-1] / sum(counts):.2g} % ignored" if counts[-1] else ""
        if len(classes) > _MANY_CLASSES:
            text = f"{len(classes)} classes, {min(shares):.2g} to {max(shares):.2g} % of the area"
        else:
            named = zip(classes, shares, strict=True)
            text = ", ".join(f"{name} {share:.2g} %" for name, share in named)
        lines.append(f"{split}: {text}{ignored}")
    return lines


def unused_lines(splits: Mapping[str, Dataset]) -> list[str]:
    """A line on masks that are of no image."""
    files = [dataset for dataset in splits.values() if isinstance(dataset, MaskedFiles)]
    unused = sorted({name for dataset in files for name in dataset.unused_masks})
    if not unused:
        return []
    shown = ", ".join(unused[:_NAMED]) + (", ..." if len(unused) > _NAMED else "")
    return [f"masks without an image: {len(unused)} ({shown})"]
