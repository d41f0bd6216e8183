"""The proposals of one image: the proposer is called, and what it says is made sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.config import check_options
from zoo.errors import UsageError, ZooError
from zoo.structures import Sample

if TYPE_CHECKING:
    from zoo.proposals._method import Method
    from zoo.registry import Registry

Proposer = Callable[[NDArray[np.uint8]], tuple[Any, Any]]
"""From an image (h, w, 3) uint8 RGB to boxes (p, 4), x1 y1 x2 y2 in px, and scores (p,)."""


def open_proposer(method: Method, registry: Registry) -> Proposer:
    """The proposer that a method of the registry names.

    Raises:
        UsageError: it needs what is not installed, or nobody has it.
        PluginCodeError: its code raised.
    """
    entry = registry.get("proposer", method.name)
    factory = registry.load(entry)
    options = check_options("data.proposals_options", factory, method.options)
    try:
        proposer: Proposer = factory(**options)
    except ZooError:
        raise
    except Exception as error:
        raise entry.failure("built", error) from error
    return proposer


def propose(
    proposer: Proposer, image: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (p, 4) inside of the image, each with an area, and scores (p,), the best first.

    Args:
        image: (h, w, 3) RGB.

    Raises:
        UsageError: the proposer gave something else than boxes and scores.
    """
    answer = proposer(image)
    boxes, scores = (np.asarray(part, dtype=np.float32) for part in answer)
    if boxes.shape != (len(scores), 4) or scores.ndim != 1:
        raise UsageError(
            f"the proposer gave boxes of shape {boxes.shape} and scores of shape {scores.shape}",
            "A proposer returns boxes (p, 4) and scores (p,).",
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UsageError("the proposer gave a box or a score that is not finite")
    height, width = image.shape[:2]
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
    sound = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    best_first = np.argsort(-scores[sound], kind="stable")
    return boxes[sound][best_first], scores[sound][best_first]


def rgb_of(image: Tensor) -> NDArray[np.uint8]:
    """An image of a data set, (c, h, w), as proposers see it: (h, w, 3) uint8."""
    if image.dtype == torch.uint16:
        image = image.to(torch.int32) >> 8
    elif image.is_floating_point():
        image = image.round().clamp(0, 255)
    pixels: NDArray[np.uint8] = image.to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(
        pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]
    )


def with_proposals(sample: Sample, boxes: NDArray[np.float32], limit: int | None) -> Sample:
    """The sample with the targets ``proposals`` (p, 4) and ``proposal_counts``, which is p.

    Args:
        boxes: (p, 4), the best first.
        limit: the most of them.
    """
    chosen = torch.from_numpy(boxes[:limit])
    return replace(
        sample,
        targets={**sample.targets, "proposals": chosen, "proposal_counts": len(chosen)},
    )
