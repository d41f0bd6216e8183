"""Boxes as offsets from other boxes: what the regression of every detector predicts.

Girshick 2014 (arXiv:1311.2524), appendix C: the shift of the centre in units of the reference's
size, and the logarithm of the ratio of the sizes, so that the targets do not depend on the size of
the object.

Shapes: m boxes, k classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = tuple[float, float, float, float]

PLAIN: Weights = (1.0, 1.0, 1.0, 1.0)
UNIT_SPREAD: Weights = (10.0, 10.0, 5.0, 5.0)
"""Brings the offsets of proposals to a spread of about 1 (Girshick 2015, section 2.3): they have
standard deviations of about 0.1 for the centre and 0.2 for the logarithm of the size."""

LARGEST_LOG_RATIO = math.log(1000 / 16)
"""A prediction never grows a box more than 62-fold: exp of a wild logit would be infinite."""


def encode(boxes: Tensor, references: Tensor, weights: Weights = PLAIN) -> Tensor:
    """The offsets (m, 4) dx dy dw dh that turn each reference (m, 4) into its box (m, 4).

    Both must have a positive width and height.
    """
    centre, size = _centre_and_size(boxes)
    reference_centre, reference_size = _centre_and_size(references)
    shift = (centre - reference_centre) / reference_size
    growth = (size / reference_size).log()
    return torch.cat([shift, growth], dim=-1) * boxes.new_tensor(weights)


def decode(offsets: Tensor, references: Tensor, weights: Weights = PLAIN) -> Tensor:
    """The boxes that predicted offsets mean.

    Args:
        offsets: (m, 4), or (m, k, 4) with a set for each class.
        references: (m, 4).
        weights: that the offsets were encoded with.

    Returns:
        Of the shape of ``offsets``, float32.
    """
    if offsets.ndim == 3:
        references = references[:, None]
    centre, size = _centre_and_size(references)
    offsets = offsets.float() / references.new_tensor(weights)
    centre = centre + offsets[..., :2] * size
    size = size * offsets[..., 2:].clamp(max=LARGEST_LOG_RATIO).exp()
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=-1)


def clip(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (..., 4) cut at the edges of an image."""
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], dim=-1).flatten(-2)


def is_larger_than(boxes: Tensor, side_px: float) -> Tensor:
    """(...,) bool: whether width and height are at least ``side_px``."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= side_px).all(dim=-1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size
