"""Proposals that come from outside the detector: where an object could be, whatever it is.

R-CNN, SPP-net and Fast R-CNN look only at these.  ``selective_search`` makes better ones;
``grid_proposals`` need nothing but the size of the image.

Shapes: b images, p proposals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import ConfigError
from zoo.randomness import uniform
from zoo.structures import SampleKey
from zoo_rcnn.targets import Targets

GRID_SCALES = (0.18, 0.27, 0.4, 0.6, 0.9)
"""Side of a window as a share of the image's shorter side."""
GRID_ASPECT_RATIOS = (0.5, 1.0, 2.0)
GRID_STEP = 1 / 3
"""From one window to the next, as a share of the window's side."""


def grid_proposals(
    height: int,
    width: int,
    *,
    scales: Sequence[float] = GRID_SCALES,
    aspect_ratios: Sequence[float] = GRID_ASPECT_RATIOS,
    step: float = GRID_STEP,
) -> Tensor:
    """Windows of some sizes and shapes, evenly over the image: (p, 4) float32 in px.

    >>> grid_proposals(96, 96).shape
    torch.Size([1023, 4])

    Args:
        height: of the image in px.
        width: of the image in px.
        scales: sides of a square window as shares of the image's shorter side.
        aspect_ratios: height by width; windows of a scale have the same area.
        step: from one window to the next, as a share of the window's side.
    """
    windows = []
    for scale in sorted(scales, reverse=True):
        for ratio in aspect_ratios:
            side = scale * min(height, width)
            window_height, window_width = side * ratio**0.5, side / ratio**0.5
            if window_height > height or window_width > width:
                continue
            y = _starts(height, window_height, step)
            x = _starts(width, window_width, step)
            top, left = (grid.flatten() for grid in torch.meshgrid(y, x, indexing="ij"))
            windows.append(
                torch.stack([left, top, left + window_width, top + window_height], dim=1)
            )
    return torch.cat(windows) if windows else torch.zeros(0, 4)


def _starts(length: int, window: float, step: float) -> Tensor:
    """Where windows start, so that the first and the last touch the borders."""
    room = length - window
    return torch.linspace(0, room, max(round(room / (step * window)), 0) + 1)


def outside_proposals(
    sizes: Sequence[tuple[int, int]], targets: Targets | None, device: torch.device
) -> list[Tensor]:
    """The proposals (p, 4) of each image that came with the batch; without any, a grid of each.

    Args:
        sizes: height and width of each image in px.
        targets: of the batch, with ``proposals`` and ``proposal_counts``, or without.
        device: of the images.
    """
    if targets is None or "proposals" not in targets:
        return [grid_proposals(height, width).to(device) for height, width in sizes]
    counts = targets["proposal_counts"].tolist()
    return [
        boxes[:count] for boxes, count in zip(targets["proposals"].float(), counts, strict=True)
    ]


def grid_proposer(
    *,
    scales: tuple[float, ...] = GRID_SCALES,
    aspect_ratios: tuple[float, ...] = GRID_ASPECT_RATIOS,
    step: float = GRID_STEP,
) -> Callable[[NDArray[np.uint8]], tuple[Tensor, Tensor]]:
    """The grid as a proposer, well mixed, so that the first few are windows of every size.

    Args:
        scales: sides of a square window as shares of the image's shorter side.
        aspect_ratios: height by width; windows of a scale have the same area.
        step: from one window to the next, as a share of the window's side.

    Raises:
        ConfigError: a size, shape or step that is not above 0.
    """
    if min((*scales, *aspect_ratios, step)) <= 0:
        raise ConfigError("scales, aspect_ratios and step of a grid must be above 0")

    def propose(image: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        height, width = image.shape[:2]
        windows = grid_proposals(
            height, width, scales=scales, aspect_ratios=aspect_ratios, step=step
        )
        scores = uniform(0, "grid", [SampleKey(0, 0)], draws=len(windows))[0]
        return windows, torch.from_numpy(scores).float()

    return propose
