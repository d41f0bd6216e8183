"""Twice the height and width by bilinear interpolation, the same bits on every run where asked."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BilinearUpsample(nn.Module):
    """(n, c, h, w) -> (n, c, 2h, 2w), corner pixels on corner pixels; no parameters.

    CUDA's kernel for the gradient adds in no fixed order, and under
    ``torch.use_deterministic_algorithms`` torch goes a long way round it (gathers, and sorted sums
    behind them).  Twice the size needs none of that: each new pixel lies between two neighbours,
    and ``upsample_by_slices`` computes it from shifted copies of the map, whose gradients are
    shifts as well.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The map at twice the size."""
        if torch.are_deterministic_algorithms_enabled():
            return upsample_by_slices(x)
        return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def upsample_by_slices(x: Tensor) -> Tensor:
    """What ``interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)`` computes."""
    return _double(_double(x, dim=2), dim=3)


def _double(x: Tensor, *, dim: int) -> Tensor:
    """Twice the length of one dimension.

    With corners on corners, new pixel i of 2n lies at i (n - 1) / (2n - 1).  That is k / (2n - 1)
    before old pixel k for i = 2k, and (n - 1 - k) / (2n - 1) behind it for i = 2k + 1.
    """
    n = x.shape[dim]
    shape = [n if d == dim else 1 for d in range(x.ndim)]
    before = torch.arange(n, device=x.device, dtype=x.dtype).reshape(shape) / (2 * n - 1)
    # The first pixel has none before it and the last none behind it; their shares of it are 0.
    previous = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)], dim)
    following = torch.cat([x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)], dim)
    even = torch.lerp(x, previous, before)
    odd = torch.lerp(x, following, before.flip(dim))
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)
