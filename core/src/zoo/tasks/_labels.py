"""How many images each class has, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.data.datasets import Dataset

_IMBALANCED = 3.0
"""How many times rarer a class must be than the most frequent one to be worth a word."""
_MANY_CLASSES = 20
"""Above this, counts are summed up instead of listed."""


def class_counts(dataset: Dataset) -> list[int] | None:
    """Images of each class, in the order of the labels; None where only decoding would tell."""
    labels = getattr(dataset, "labels", None)
    if labels is None:
        labels = getattr(dataset, "targets", {}).get("labels")
    if labels is None:
        return None
    counts = torch.bincount(torch.as_tensor(labels), minlength=len(dataset.classes))
    return [int(n) for n in counts]


def count_lines(classes: Sequence[str], counts: Mapping[str, Sequence[int] | None]) -> list[str]:
    """A line for each split: images of each class; and a word on imbalance in training."""
    lines = [_counts_line(split, classes, c) for split, c in counts.items() if c is not None]
    train = counts.get("train")
    if train and max(train) >= _IMBALANCED * min(train):
        rare, frequent = (classes[list(train).index(n)] for n in (min(train), max(train)))
        lines.append(
            f"train is imbalanced: {counted(min(train), 'image')} of {rare}, {max(train)} of"
            f" {frequent}; task.class_weights=balanced or data.sampling=balanced evens it out"
        )
    return lines


def _counts_line(split: str, classes: Sequence[str], counts: Sequence[int]) -> str:
    total = f"{split}: {counted(sum(counts), 'image')}"
    if len(classes) > _MANY_CLASSES:
        return f"{total} of {len(classes)} classes, {min(counts)} to {max(counts)} of each"
    named = ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    return f"{total} ({named})"
