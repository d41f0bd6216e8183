"""The sample stage of segmentation: one geometry for an image and its mask, in a loader process.

A training crop is a square of the scaled, rotated and bent image.  Where nothing rotates or bends,
it is cut and resized; else every pixel of the crop is looked up where the inverse of the geometry
puts it.  Masks take the nearest pixel.  Beyond its border the image is mirrored, and the mask is
``IGNORED``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zoo.data.transforms._sample_stage import resize
from zoo.randomness import uniform
from zoo.structures import IGNORED, Sample, SampleKey

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a training crop is taken.

    Attributes:
        size_px: height and width of the crop, for which there is a mask.
        context_px: more of the image on each side, for which there is none.
        scale: least and greatest factor by which the image is enlarged, drawn log-uniformly.
        rotate_deg: greatest rotation to either side.
        elastic_px: standard deviation of the displacements of the elastic deformation.
        elastic_grid: points on a side of the grid that they are drawn on.
        interpolation: of the image, "bilinear" or "bicubic".
    """

    size_px: int
    context_px: int
    scale: tuple[float, float]
    rotate_deg: float
    elastic_px: float
    elastic_grid: int
    interpolation: str

    @property
    def seen_px(self) -> int:
        """Height and width of the crop with its context."""
        return self.size_px + 2 * self.context_px


class MaskStage:
    """A random crop of image and mask."""

    def __init__(self, geometry: Geometry, *, seed: int) -> None:
        self._geometry = geometry
        self._seed = seed

    def __call__(self, sample: Sample, key: SampleKey) -> Sample:
        mask = torch.as_tensor(sample.targets["masks"])
        image, mask = self._crop(sample.image, mask, self._geometry, key)
        return replace(sample, image=image, targets={**sample.targets, "masks": mask})

    def _crop(
        self, image: Tensor, mask: Tensor, how: Geometry, key: SampleKey
    ) -> tuple[Tensor, Tensor]:
        draws = uniform(self._seed, "crop", [key], 4)[0]
        low, high = (math.log(factor) for factor in how.scale)
        factor = math.exp(low + draws[0] * (high - low))
        angle = math.radians(how.rotate_deg) * (2 * draws[1] - 1)
        centre = crop_centre(mask.shape, how.size_px / factor, draws[2:])
        if angle == 0 and how.elastic_px == 0:
            return cut_crop(image, mask, centre, how, factor)
        rows, columns = lookup(centre, how, factor, angle, self._bend(how, key))
        return sample_pixels(image, mask, rows, columns, how)

    def _bend(self, how: Geometry, key: SampleKey) -> Numbers | None:
        """(2, grid, grid) displacements in px, normal."""
        if how.elastic_px == 0:
            return None
        count = 2 * how.elastic_grid**2
        draws = uniform(self._seed, "elastic", [key], 2 * count)[0].reshape(2, count)
        normal = np.sqrt(-2 * np.log1p(-draws[0])) * np.cos(2 * np.pi * draws[1])
        return np.asarray(how.elastic_px * normal.reshape(2, how.elastic_grid, how.elastic_grid))


def crop_centre(size: torch.Size, extent_px: float, draws: Numbers) -> tuple[float, float]:
    """Row and column of a crop's centre, so that it lies within the image where it fits.

    Args:
        size: height and width of the image.
        extent_px: of the crop, in px of the image.
        draws: (2,) in [0, 1).
    """
    row, column = (
        length / 2 + (draw - 0.5) * max(0.0, length - extent_px)
        for length, draw in zip(size, draws.tolist(), strict=True)
    )
    return row, column


def cut_crop(
    image: Tensor, mask: Tensor, centre: tuple[float, float], how: Geometry, factor: float
) -> tuple[Tensor, Tensor]:
    """The crop and its mask where nothing rotates or bends: whole pixels, then one resize."""
    extent, seen = (max(1, round(px / factor)) for px in (how.size_px, how.seen_px))
    tops = [math.floor(at - extent / 2 + 0.5) for at in centre]
    outer = [top - (seen - extent) // 2 for top in tops]
    image = _window(image, outer, seen, mirrored=True)
    mask = _window(mask[None], tops, extent, mirrored=False)
    nearest = functional.interpolate(
        mask[None].float(), size=(how.size_px, how.size_px), mode="nearest-exact"
    )
    small = resize(image, how.seen_px, how.seen_px, how.interpolation)
    return small.contiguous(), nearest[0, 0].to(torch.uint8)


def _window(maps: Tensor, tops: list[int], side: int, *, mirrored: bool) -> Tensor:
    """A square of (c, h, w); outside it is mirrored, or ignored."""
    for dim, top in zip((-2, -1), tops, strict=True):
        own = maps.shape[dim]
        if top >= 0 and top + side <= own:
            maps = maps.narrow(dim, top, side)
            continue
        at = torch.arange(top, top + side)
        outside = (at < 0) | (at >= own)
        maps = maps.index_select(dim, mirrored_index(at, own))
        if not mirrored:
            shape = (-1, 1) if dim == -2 else (1, -1)
            maps = maps.masked_fill(outside.view(shape), IGNORED)
    return maps


def mirrored_index(at: Tensor, length: int) -> Tensor:
    """Positions along an axis, mirrored at its ends as often as it takes to lie within."""
    if length == 1:
        return torch.zeros_like(at)
    at = at % (2 * (length - 1))
    return torch.minimum(at, 2 * (length - 1) - at)


def lookup(
    centre: tuple[float, float],
    how: Geometry,
    factor: float,
    angle: float,
    bend: Numbers | None,
) -> tuple[Tensor, Tensor]:
    """Where in the image each pixel of the crop with its context comes from.

    Returns:
        rows and columns, each (s, s) float32 with s = ``how.seen_px``; pixel i covers i to i + 1.
    """
    at = torch.arange(how.seen_px, dtype=torch.float32) + 0.5 - how.seen_px / 2
    down, right = torch.meshgrid(at, at, indexing="ij")
    if bend is not None:
        size = (how.seen_px, how.seen_px)
        fine = functional.interpolate(
            torch.from_numpy(bend).float()[None], size=size, mode="bicubic", align_corners=True
        )[0]
        down, right = down + fine[0], right + fine[1]
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    return centre[0] + cos * down + sin * right, centre[1] - sin * down + cos * right


def sample_pixels(
    image: Tensor, mask: Tensor, rows: Tensor, columns: Tensor, how: Geometry
) -> tuple[Tensor, Tensor]:
    """The image and mask at given places: (c, s, s) uint8, and the mask without its context."""
    height, width = mask.shape
    grid = torch.stack([2 * columns / width - 1, 2 * rows / height - 1], dim=-1)[None]
    pixels = functional.grid_sample(
        image[None].float(),
        grid,
        mode=how.interpolation,
        padding_mode="reflection",
        align_corners=False,
    )[0]
    frame = slice(how.context_px, how.context_px + how.size_px)
    rows, columns = rows[frame, frame].floor().long(), columns[frame, frame].floor().long()
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    nearest = mask[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return pixels.round_().clamp_(0, 255).to(image.dtype), nearest.where(
        inside, torch.tensor(IGNORED, dtype=mask.dtype)
    )
