"""Dials with one hand, drawn from a seed: what angles are learned from without a download.

Angles are in degrees, clockwise from the top, as on a clock.
"""

import numpy as np
import torch

from zoo.data.datasets import Resident
from zoo.randomness import uniform
from zoo.structures import SampleKey

SIZE_PX = 32


def dials(*, seed: int = 0, train: int = 2000, val: int = 500) -> dict[str, Resident]:
    """The splits "train" and "val", the same ones on every machine.

    A hand is 8 to 14 px long and 1 to 3 px wide, with a tail of 2 px behind its pivot, which is up
    to 2 px off the middle; it is darker or lighter than its dial, and there is noise over both.

    Args:
        seed: of everything that differs from dial to dial.
        train, val: dials of each split.
    """
    return {split: _dials(split, count, seed) for split, count in (("train", train), ("val", val))}


def _dials(split: str, count: int, seed: int) -> Resident:
    keys = [SampleKey(0, index) for index in range(count)]
    facts = uniform(seed, f"dials {split}", keys, 8)[:, :, None, None]
    noise = uniform(seed, f"noise {split}", keys, SIZE_PX**2).reshape(count, SIZE_PX, SIZE_PX)
    angle, right, down, length, width, ground, contrast, sign = facts.swapaxes(0, 1)

    # Of each pixel: how far from the pivot it lies, along the hand and across it.
    sin, cos = np.sin(2 * np.pi * angle), np.cos(2 * np.pi * angle)
    middles = np.arange(SIZE_PX) + 0.5 - SIZE_PX / 2
    x, y = middles - (4 * right - 2), middles[:, None] - (4 * down - 2)
    along, across = x * sin - y * cos, x * cos + y * sin

    tip, tail, half = 8 + 6 * length, 2.0, 0.5 + width
    hand = _inside(tip - along) * _inside(along + tail) * _inside(half - np.abs(across))
    ground, contrast = 0.35 + 0.3 * ground, (0.2 + 0.2 * contrast) * np.where(sign < 0.5, -1, 1)
    shades = ground + contrast * hand + 0.1 * (noise - 0.5)
    return Resident(
        name=f"dials {split}",
        images=torch.from_numpy(np.rint(255 * shades.clip(0, 1)).astype(np.uint8)[:, None]),
        targets={"angles_deg": torch.from_numpy(360 * angle[:, 0, 0]).float()},
    )


def _inside(distance: np.ndarray) -> np.ndarray:
    """1 well inside an edge, 0 well outside, and a smooth px between."""
    return (distance + 0.5).clip(0, 1)
