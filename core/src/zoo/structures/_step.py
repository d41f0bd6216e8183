"""What one forward pass of a task gives: losses as sums with counts, and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossSum:
    """A loss as a sum over the batch, and what to divide it by.

    The count comes from the targets alone (images, unignored pixels, summed class weights), so
    that micro-batches and ranks add up to exactly the loss of the whole batch.

    Attributes:
        total: () float, summed over the batch, differentiable.
        count: float, or () tensor on the device; not differentiable.
        weight: factor of this loss in the sum that is minimised.
    """

    total: Tensor
    count: Tensor | float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """Losses by name, and predictions in the form that the task's metrics read.

    Attributes:
        losses: empty where the model cannot say (a foreign model in evaluation).
        predictions: detached; logits ``(b, k)`` for classification.
    """

    losses: Mapping[str, LossSum]
    predictions: Any


def total_loss(
    losses: Mapping[str, LossSum],
    counts: Mapping[str, Tensor | float] | None = None,
    *,
    scale: float = 1.0,
) -> Tensor:
    """The number that is minimised: the weighted sum of the mean losses, () float.

    Args:
        losses: of a batch, a micro-batch or one rank's share.
        counts: of the whole batch over all ranks; default: those of ``losses``.
        scale: factor of the whole.
    """
    counts = {name: loss.count for name, loss in losses.items()} if counts is None else counts
    # One product for each: every further operation is one more in the backward pass.
    first, *others = (
        loss.total * (scale * loss.weight / counts[name]) for name, loss in losses.items()
    )
    return sum(others, start=first)
