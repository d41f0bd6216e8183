"""Mixup and CutMix of neighbours: images 2i and 2i+1 of a batch mix with each other.

A pair is the same for every number of processes and every micro-batch, because plans keep pairs
whole; its random numbers are those of its first sample.  The last image of an odd batch stays as
it is.

Differs from the papers, timm and torchvision: each pair draws its own weight, where they draw one
for a batch, and partners are neighbours of a shuffled order, where they permute the batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.transforms._rectangles import boxes_to_masks
from zoo.devices import send
from zoo.randomness import uniform
from zoo.structures import Batch

_BETA_ATTEMPTS = 16


def mix_pairs(batch: Batch, seed: int, *, mixup: float, cutmix: float) -> Batch:
    """Mix each pair; both images are mixed, each with the other as the lesser part or the greater.

    Args:
        batch: with ``labels``; images (b, c, h, w), normalised.
        seed: of the run.
        mixup: alpha of the Beta distribution of its weights; 0 is off.
        cutmix: the same for the area; 0 is off.

    Returns:
        The batch with targets ``labels`` (b,), ``mixed_labels`` (b,) of the partner, and
        ``mix_weight`` (b,) float32: how much of each image is its own.
    """
    draws = uniform(seed, "mix", batch.keys[::2], 3 + 2 * _BETA_ATTEMPTS)
    cuts = draws[:, 0] < (0.5 if mixup and cutmix else float(bool(cutmix)))
    weights = np.where(
        cuts, symmetric_beta(cutmix, draws[:, 3:]), symmetric_beta(mixup, draws[:, 3:])
    )
    boxes, cut_weights = _cut_boxes(weights, draws[:, 1:3], batch.images.shape[-2:])
    own = np.where(cuts, cut_weights, weights)
    boxes[~cuts] = 0
    if len(batch) % 2:
        own[-1], boxes[-1] = 1.0, 0
    own = np.repeat(own, 2)[: len(batch)]
    device = batch.images.device
    weight = send(torch.from_numpy(own.astype(np.float32)), device)
    labels = batch.targets["labels"]
    partner = send(_partners(len(batch)), device)
    targets = {
        **batch.targets,
        "mixed_labels": labels[partner],
        "mix_weight": weight,
    }
    others = batch.images[partner]
    blend = np.where(np.repeat(cuts, 2)[: len(batch)], 1.0, own).astype(np.float32)
    images = torch.lerp(others, batch.images, _column(blend, device))
    if cutmix:
        inside = boxes_to_masks(np.repeat(boxes, 2, axis=0)[: len(batch)], images)
        images = torch.where(inside, others, images)
    return replace(batch, images=images, targets=targets)


def symmetric_beta(alpha: float, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beta(alpha, alpha) numbers from uniform ones: (n, 32) to (n,); alpha 0 gives ones.

    Above one half, Ulrich's polar method; otherwise the first of sixteen tries that Joehnk's
    accepts, which fails once in 10^10 (Devroye 1986, "Non-Uniform Random Variate Generation",
    pages 437 and 432).
    """
    if alpha == 0:
        return np.ones(len(draws))
    first, second = 1.0 - draws[:, ::2], draws[:, 1::2]
    if alpha > 0.5:
        radius = np.sqrt(1 - first[:, 0] ** (2 / (2 * alpha - 1)))
        return np.asarray(0.5 * (1 + radius * np.cos(2 * np.pi * second[:, 0])))
    log_x, log_y = np.log(first) / alpha, np.log1p(-second) / alpha
    total = np.logaddexp(log_x, log_y)
    rows = np.arange(len(draws))
    accepted = (total <= 0).argmax(1)
    return np.asarray(np.exp(log_x[rows, accepted] - total[rows, accepted]))


def _cut_boxes(
    weights: NDArray[np.float64], centres: NDArray[np.float64], size: torch.Size
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (n, 4) of area 1 - weight around the centres, and the weights after clipping (n,)."""
    height, width = size
    half = 0.5 * np.sqrt(1 - weights)[:, None] * np.array([height, width])
    middle = np.floor(centres * np.array([height, width]))
    start = np.clip(np.floor(middle - half), 0, [height, width])
    stop = np.clip(np.floor(middle + half), 0, [height, width])
    extent = stop - start
    return np.hstack([start, extent]), 1 - extent.prod(1) / (height * width)


def _partners(length: int) -> torch.Tensor:
    """The index of each image's partner; the last of an odd number is its own."""
    partner = torch.arange(length) ^ 1
    return partner.clamp_(max=length - 1)


def _column(values: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    return send(torch.from_numpy(values).reshape(-1, 1, 1, 1), device)
