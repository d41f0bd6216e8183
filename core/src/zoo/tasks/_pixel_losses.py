"""Losses of segmentation as sums, with the counts that they are divided by.

Shapes: b images, k classes, h w px.  ``logits`` are (b, k, h, w), ``masks`` (b, h, w) int64 whose
``IGNORED`` pixels count nowhere.  All arithmetic is float32, whatever precision the model ran in.
The counts come from the targets alone, so that micro-batches and ranks add up to exactly the loss
of the whole batch.

Every operation here has a deterministic kernel on CUDA: pixels are rows of a matrix, because
torch's cross-entropy of maps (``nll_loss2d``) has none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zoo.structures import IGNORED, LossSum


def pixel_count(masks: Tensor, class_weights: Tensor | None, weights: Tensor | None) -> Tensor:
    """What a loss of pixels is divided by: their number, or the sum of their weights."""
    if class_weights is None and weights is None:
        return (masks != IGNORED).sum()
    precise = torch.float32 if masks.device.type == "mps" else torch.float64  # MPS has none
    return pixel_weights(masks, class_weights, weights).sum(dtype=precise)


def pixel_weights(masks: Tensor, class_weights: Tensor | None, weights: Tensor | None) -> Tensor:
    """(b, h, w) float32: the weight of each pixel's class plus its own; 0 where it is ignored."""
    inside = masks != IGNORED
    if class_weights is None:
        total = inside.float()
    else:
        total = class_weights[masks.where(inside, 0)] * inside
    return total if weights is None else total + weights * inside


def cross_entropy(
    logits: Tensor,
    masks: Tensor,
    *,
    class_weights: Tensor | None = None,
    weights: Tensor | None = None,
    focus: float = 0.0,
) -> LossSum:
    """Softmax cross-entropy of each pixel.

    Args:
        class_weights: (k,); a pixel counts as often as its class's weight says.
        weights: (b, h, w), added to those: the border map of the U-Net paper.
        focus: gamma of the focal loss (Lin 2017, arXiv:1708.02002): a pixel of probability p of
            its class counts (1 - p)^gamma, while what is divided by stays as it is.
    """
    rows = logits.float().movedim(1, -1).flatten(0, 2)
    losses = functional.cross_entropy(
        rows, masks.flatten(), ignore_index=IGNORED, reduction="none"
    ).view(masks.shape)
    if focus:
        losses = losses * (1 - torch.exp(-losses)).clamp(min=0) ** focus
    if class_weights is not None or weights is not None:
        losses = losses * pixel_weights(masks, class_weights, weights)
    return LossSum(losses.sum(), pixel_count(masks, class_weights, weights))


def dice_count(masks: Tensor, num_classes: int) -> Tensor:
    """How many pairs of an image and a class that is on it there are."""
    return _one_hot(masks, num_classes).flatten(2).any(2).sum()


def dice(logits: Tensor, masks: Tensor) -> LossSum:
    """One minus soft Dice, for each image and each class that is on it.

    Dice of an image and a class is 2 sum(p t) / (sum(p) + sum(t)) over the image's counted pixels,
    p the softmax and t the mask (Milletari 2016, arXiv:1606.04797, without the squares).  A pair
    of image and class is one summand, so that its Dice needs no other image, and the number of
    pairs is known from the masks.  A class that is not on an image has no summand there; calling
    pixels so costs the classes that they are of.

    Differs from many implementations: there is no smoothing term, since sum(t) is at least 1.
    """
    shares = logits.float().softmax(1)
    truth = _one_hot(masks, logits.shape[1])
    present = truth.flatten(2).any(2)
    inside = (masks != IGNORED)[:, None]
    overlap = (shares * truth).flatten(2).sum(2)
    sizes = (shares * inside).flatten(2).sum(2) + truth.flatten(2).sum(2)
    losses = 1 - 2 * overlap / sizes.clamp(min=1)
    return LossSum((losses * present).sum(), present.sum())


def _one_hot(masks: Tensor, num_classes: int) -> Tensor:
    """(b, k, h, w) bool; nothing where a pixel is ignored."""
    classes = torch.arange(num_classes, device=masks.device).view(-1, 1, 1)
    return masks[:, None] == classes
