"""A seeded split that keeps the classes' proportions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zoo.randomness import hash_words

Numbers = NDArray[np.int64]


def stratified_split(
    labels: NDArray[np.int64],
    val_fraction: float,
    *,
    seed: int,
    keys: NDArray[np.int64] | None = None,
) -> tuple[Numbers, Numbers]:
    """Indices of the training and of the held-out part, each in ascending order.

    The held-out part has ``ceil(val_fraction * n)`` images, shared among the classes by largest
    remainder; every class with two images or more keeps at least one on either side, so that the
    part may be a little larger.

    Args:
        labels: (n,) of all images.
        val_fraction: to hold out, within (0, 1).
        seed: of the split.
        keys: (n,) number of each image that its draw depends on; default: its index. With keys
            that stay (of its name), images that come or go leave most others where they are.
    """
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    fair = counts * val_fraction
    held = np.floor(fair).astype(np.int64)
    missing = math.ceil(val_fraction * len(labels)) - int(held.sum())
    held[np.argsort(held - fair, kind="stable")[:missing]] += 1
    held = np.clip(held, (counts > 1).astype(np.int64), np.maximum(counts - 1, 0))
    random = hash_words(seed, "split", np.arange(len(labels)) if keys is None else keys)
    order = np.lexsort((random, inverse))
    place = np.empty(len(labels), dtype=np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    in_val = place < held[inverse]
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
