"""Warping regions of images to one size (Girshick 2014, arXiv:1311.2524, appendix A).

Shapes: n images, c channels, h w height and width in px, r regions, s the size of the result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ConfigError
from zoo_rcnn import operators

CONTEXT_PX = 16
"""Of the paper: around a region warped to 227 px."""


def check_room(size_px: int, context_px: int) -> None:
    """Raise a ConfigError where the margins leave nothing for the region."""
    if not 0 <= 2 * context_px < size_px:
        raise ConfigError(f"regions of {size_px} px have no room for margins of {context_px} px")


def with_context(rois: Tensor, *, size_px: int, context_px: int = CONTEXT_PX) -> Tensor:
    """Regions (r, 5) grown so that, warped, they have a margin of ``context_px`` on each side.

    Of ``size_px`` the region itself then takes ``size_px - 2 * context_px``.
    """
    sides = rois[:, 3:5] - rois[:, 1:3]
    margin = sides * (context_px / (size_px - 2 * context_px))
    return torch.cat([rois[:, :1], rois[:, 1:3] - margin, rois[:, 3:5] + margin], dim=1)


def warp_regions(
    images: Tensor, rois: Tensor, *, size_px: int, context_px: int = CONTEXT_PX
) -> Tensor:
    """Cut regions out and stretch each to a square, whatever its shape.

    Warping is RoIAlign on the image itself: where a region is enlarged its px are interpolated,
    where it shrinks all that fall into one are averaged.  What lies outside the image is 0, the
    mean colour of normalised images.

    Args:
        images: (n, c, h, w), normalised.
        rois: (r, 5): index of the image, x1 y1 x2 y2 in px.
        size_px: s.
        context_px: of the result, on each side.

    Returns:
        (r, c, s, s).
    """
    grown = with_context(rois, size_px=size_px, context_px=context_px)
    return operators.roi_align(images, grown, bins=size_px, scale=1.0, aligned=True)
