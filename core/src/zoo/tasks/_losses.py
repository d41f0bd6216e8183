"""Losses of classification as sums over images, with the counts that they are divided by.

Shapes: b images, k classes.  All arithmetic is float32, whatever precision the model ran in.

A mixed image (mixup, cutmix) has two labels; its target is ``mix_weight`` times the first plus the
rest of the second.  Label smoothing s moves s of a target from its label to all k classes alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from zoo.structures import LossSum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from zoo.structures import Batch


def cross_entropy(
    logits: Tensor, batch: Batch, *, smoothing: float, weights: Tensor | None
) -> LossSum:
    """Softmax cross-entropy, as ``torch.nn.CrossEntropyLoss`` has it.

    Args:
        logits: (b, k).
        batch: whose targets are ``labels``, and ``mixed_labels`` and ``mix_weight`` if mixed.
        smoothing: s.
        weights: (k,) of the classes; the count is then the sum of the targets' weights.
    """

    def sums(labels: Tensor, reduction: str) -> Tensor:
        return functional.cross_entropy(
            logits.float(), labels, weights, reduction=reduction, label_smoothing=smoothing
        )

    targets = batch.targets
    count = image_count(batch, weights)
    if "mixed_labels" not in targets:
        return LossSum(sums(targets["labels"], "sum"), count)
    losses = sums(targets["labels"], "none"), sums(targets["mixed_labels"], "none")
    return LossSum(torch.lerp(losses[1], losses[0], targets["mix_weight"].float()).sum(), count)


def binary_cross_entropy(
    logits: Tensor,
    batch: Batch,
    *,
    smoothing: float,
    threshold: float | None,
    weights: Tensor | None,
) -> LossSum:
    """One yes-or-no question for each class; the mean over classes is an image's loss.

    This is the loss of "ResNet strikes back" (Wightman 2021, arXiv:2110.00476), with the targets
    and the mean of timm's ``BinaryCrossEntropy``.

    Args:
        logits: (b, k).
        batch: whose targets are ``labels``, and ``mixed_labels`` and ``mix_weight`` if mixed.
        smoothing: s; a label's target is 1 - s + s/k, the others' s/k.
        threshold: targets above it become 1 and the others 0, so that both classes of a mixed
            image are present; None leaves them as they are.
        weights: (k,); an image's loss counts as often as its target's weight says.
    """
    targets = soft_targets(batch, logits.shape[1], smoothing)
    if threshold is not None:
        targets = (targets > threshold).float()
    losses = functional.binary_cross_entropy_with_logits(
        logits.float(), targets, reduction="none"
    ).mean(1)
    image_weights = _image_weights(batch, weights)
    total = losses.sum() if image_weights is None else (losses * image_weights).sum()
    return LossSum(total, image_count(batch, weights))


def soft_targets(batch: Batch, num_classes: int, smoothing: float) -> Tensor:
    """The target of every class, (b, k) float32; rows add up to 1."""
    targets = batch.targets
    one_hot = _one_hot(targets["labels"], num_classes)
    if "mixed_labels" in targets:
        mixed = _one_hot(targets["mixed_labels"], num_classes)
        one_hot = torch.lerp(mixed, one_hot, targets["mix_weight"].float()[:, None])
    return one_hot * (1.0 - smoothing) + smoothing / num_classes


def image_count(batch: Batch, weights: Tensor | None) -> Tensor | float:
    """What a loss is divided by: the number of images, or the sum of their targets' weights."""
    image_weights = _image_weights(batch, weights)
    return float(len(batch)) if image_weights is None else image_weights.sum()


def _image_weights(batch: Batch, weights: Tensor | None) -> Tensor | None:
    if weights is None:
        return None
    targets: Mapping[str, Tensor] = batch.targets
    first = weights[targets["labels"]]
    if "mixed_labels" not in targets:
        return first
    return torch.lerp(weights[targets["mixed_labels"]], first, targets["mix_weight"].float())


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()
