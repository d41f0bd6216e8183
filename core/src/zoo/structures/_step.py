"""What one forward pass of a task gives: losses as sums with counts, and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def weighted_losses(
    losses: Mapping[str, LossSum],
    counts: Mapping[str, Tensor | float],
    *,
    scale: float = 1.0,
) -> list[Tensor]:
    """The mean losses times their weights: what is minimised is their sum.

    To give the weights to ``torch.autograd.backward`` as gradients would save the products, and
    load torch's compiler stack for a second.

    Args:
        losses: of a batch, a micro-batch or one rank's share.
        counts: of the whole batch over all ranks, by name or as ``EVERY_LOSS``.
        scale: factor of the whole.

    Returns:
        () tensors of the sums' types, in the order of ``losses``; ``torch.autograd.backward`` adds
        them up.
    """
    terms = []
    for name, loss in losses.items():
        weight = scale * loss.weight / _count_of(name, counts)
        terms.append(loss.total * (weight.to(loss.total) if isinstance(weight, Tensor) else weight))
    return terms
