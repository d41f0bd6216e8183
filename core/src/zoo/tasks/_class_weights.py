"""The option ``class_weights``, of every task that has classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from zoo.errors import ConfigError, DataError
from zoo.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ClassWeights = Literal["balanced"] | list[float] | None


def balanced_weights(classes: Sequence[str], counts: Sequence[int] | None) -> list[float]:
    """Weights n / (k n_c), with which every class counts alike and the mean weight is 1.

    Raises:
        DataError: the counts are unknown, or nothing in training is of a class.
    """
    if counts is None:
        raise DataError(
            'class_weights = "balanced": these data do not tell their labels without decoding',
            "Give task.class_weights as a list.",
        )
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f'class_weights = "balanced": no training image of {", ".join(empty[:5])}',
            "Give task.class_weights as a list, or remove the class.",
        )
    return [sum(counts) / (len(counts) * count) for count in counts]


def class_weights_tensor(weights: ClassWeights) -> Tensor | None:
    """(k,) float32; None where there are none, or none yet."""
    if weights is None or weights == "balanced":
        return None
    return torch.tensor(list(weights), dtype=torch.float32)


def check_settled(weights: ClassWeights) -> None:
    """Refuse "balanced" weights that nobody has balanced.

    Raises:
        ConfigError: there were no training data.
    """
    if weights == "balanced":
        raise ConfigError(
            'class_weights = "balanced" has no training data to be balanced by',
            "Call task.check_data(splits) with a train split, or give the weights as a list.",
        )


def check_class_weights(weights: ClassWeights, num_classes: int) -> None:
    """Refuse weights that make no sense.

    Raises:
        ConfigError: not "balanced" nor a number for each class, finite, not negative, not all 0.
    """
    if weights is None or weights == "balanced":
        return
    if isinstance(weights, str):
        raise ConfigError(
            f"task.class_weights: unknown value {weights!r}",
            'Use "balanced" or a list with a number for each class.',
        )
    if len(weights) != num_classes:
        raise ConfigError(
            f"task.class_weights has {counted(len(weights), 'number')} for"
            f" {counted(num_classes, 'class')}"
        )
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
        raise ConfigError("task.class_weights must be finite, not negative, and not all zero")
