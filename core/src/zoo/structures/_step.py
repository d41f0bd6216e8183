"""What one forward pass of a task gives: losses as sums with counts, and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EVERY_LOSS = "*"
"""Among the counts of a batch: the count of each loss that has none of its own."""


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

    def detached(self) -> Step:
        """The same without the graph that its losses hold on to."""
        losses = {
            name: LossSum(loss.total.detach(), loss.count, loss.weight)
            for name, loss in self.losses.items()
        }
        return Step(losses, self.predictions)


def _count_of(name: str, counts: Mapping[str, Tensor | float]) -> Tensor | float:
    """The count of a loss among those that a task gives before the forward pass."""
    return counts[name] if name in counts else counts[EVERY_LOSS]


def loss_weights(
    losses: Mapping[str, LossSum],
    counts: Mapping[str, Tensor | float],
    *,
    scale: float = 1.0,
) -> list[Tensor]:
    """What each loss's sum is multiplied with in the number that is minimised.

    That number is the weighted sum of the mean losses.  The weights are its gradients by the sums,
    so that a backward pass can begin with them, and no product is needed.

    Args:
        losses: of a batch, a micro-batch or one rank's share.
        counts: of the whole batch over all ranks, by name or as ``EVERY_LOSS``.
        scale: factor of the whole.

    Returns:
        () tensors of the sums' types, in the order of ``losses``.
    """
    weights = []
    for name, loss in losses.items():
        weight = scale * loss.weight / _count_of(name, counts)
        if isinstance(weight, Tensor):
            weights.append(weight.to(loss.total))
        else:
            weights.append(torch.full_like(loss.total, weight))
    return weights
