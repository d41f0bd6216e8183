"""Anchors: boxes of a few sizes and shapes around every cell of a feature map.

Ren 2015 (arXiv:1506.01497), section 3.1.1, with three sizes on one map; Lin 2017
(arXiv:1612.03144), section 4.1, with one size on each level of a pyramid.  Numbers and their order
are torchvision's.

Shapes: a anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ASPECT_RATIOS = (0.5, 1.0, 2.0)
"""Height by width."""


def cell_anchors(sizes_px: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """The anchors around (0, 0), in whole px: (len(aspect_ratios) * len(sizes_px), 4).

    All anchors of a size have about the same area.
    """
    heights = torch.tensor(aspect_ratios, dtype=torch.float32).sqrt()
    sizes = torch.tensor(sizes_px, dtype=torch.float32)
    widths = ((1 / heights)[:, None] * sizes).flatten()
    heights = (heights[:, None] * sizes).flatten()
    return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of a detector.

    Attributes:
        sizes_px: of each level, as many for each.
        aspect_ratios: height by width, of every size.
    """

    sizes_px: tuple[tuple[float, ...], ...]
    aspect_ratios: tuple[float, ...] = ASPECT_RATIOS

    @property
    def num_per_cell(self) -> int:
        """Anchors around each cell of a map."""
        return len(self.sizes_px[0]) * len(self.aspect_ratios)

    def __call__(self, image_size: tuple[int, int], maps: Sequence[Tensor]) -> list[Tensor]:
        """The anchors of each level, at every cell of its map.

        Args:
            image_size: height and width of the padded images in px.
            maps: (n, c, h, w) of each level.

        Returns:
            For each level (h * w * num_per_cell, 4): rows, then columns, then the cell's.
        """
        anchors = []
        for level, sizes in zip(maps, self.sizes_px, strict=True):
            height, width = level.shape[2:]
            # Not the level's stride: where a map is rounded up, torchvision's anchors lie closer.
            step_y, step_x = image_size[0] // height, image_size[1] // width
            y, x = torch.meshgrid(
                torch.arange(height, device=level.device) * step_y,
                torch.arange(width, device=level.device) * step_x,
                indexing="ij",
            )
            corners = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
            around_cell = cell_anchors(sizes, self.aspect_ratios).to(level.device)
            anchors.append((corners + around_cell).reshape(-1, 4))
        return anchors
