"""Run a network that answers for each pixel on images of any size: pad, tile, run, cut.

Shapes: b images of one size, c channels, h w px, k classes.

An image is mirrored at its border up to a size that the network takes.  A large one is run in
tiles that begin at multiples of the network's stride; each sees as much around it as can change
its answer, so that the whole equals what one pass over the image gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.structures import Tiling

UNKNOWN = Tiling(stride=32, context_px=0)
"""Of a model that states none: padded to what any common network takes, and run whole."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """How large images are cut.

    Attributes:
        tile_px: height and width that one tile answers for.
        overlap_px: how far a tile sees beyond that on each side; None is the network's context.
            With less, the answers of neighbours are blended where they overlap.
    """

    tile_px: int
    overlap_px: int | None = None

    def are_exact(self, model: nn.Module, height: int, width: int) -> bool:
        """Whether an image of this size gets the answer of one pass over the whole."""
        if max(height, width) <= self.tile_px:
            return True
        tiling = getattr(model, "tiling", None)
        if tiling is None:
            return self.overlap_px is None
        return (
            tiling.margin_px > 0 or self.overlap_px is None or self.overlap_px >= tiling.context_px
        )


def dense_logits(model: nn.Module, images: Tensor, tiles: Tiles, *, frame_px: int = 0) -> Tensor:
    """The logits of every pixel: (b, c, h, w) to (b, k, h, w).

    Args:
        model: maps images to logits, and may state a ``tiling``.
        images: of one size, normalised.
        tiles: how large images are cut.
        frame_px: the outer pixels of the images on each side that are context and get no answer;
            the result is so much smaller on each side.

    Raises:
        ConfigError: the model's answer has not the size that its ``tiling`` promises.
    """
    tiling: Tiling = getattr(model, "tiling", None) or UNKNOWN
    mirrored = max(tiling.margin_px - frame_px, 0)
    start = mirrored + frame_px - tiling.margin_px
    size = [length - 2 * frame_px for length in images.shape[-2:]]
    inputs = [
        tiling.input_px(max(start + wanted, mirrored + length - 2 * tiling.margin_px))
        for wanted, length in zip(size, images.shape[-2:], strict=True)
    ]
    images = mirror(images, mirrored, inputs)
    whole = _run if max(size) <= tiles.tile_px or _runs_whole(model, tiles) else _run_tiles
    logits = whole(model, images, tiling, tiles)
    return logits[..., start : start + size[0], start : start + size[1]]


def mirror(images: Tensor, before_px: int, size: Sequence[int]) -> Tensor:
    """Images mirrored at their border to a larger size, as often as it takes.

    Args:
        images: (b, c, h, w).
        before_px: rows above and columns to the left that are added.
        size: height and width to come to.
    """
    for dim, length in zip((-2, -1), size, strict=True):
        own = images.shape[dim]
        if own != length:
            at = torch.arange(-before_px, length - before_px, device=images.device)
            period = max(2 * (own - 1), 1)
            at = at % period
            images = images.index_select(dim, torch.minimum(at, period - at) if own > 1 else at)
    return images


def _runs_whole(model: nn.Module, tiles: Tiles) -> bool:
    """Nobody says how much context the model needs."""
    return getattr(model, "tiling", None) is None and tiles.overlap_px is None


def _run(model: nn.Module, images: Tensor, tiling: Tiling, _tiles: Tiles | None = None) -> Tensor:
    logits: Tensor = model(images)
    height, width = (length - 2 * tiling.margin_px for length in images.shape[-2:])
    if logits.ndim != 4 or logits.shape[-2:] != (height, width):
        raise ConfigError(
            f"the model answers images of {images.shape[-1]} x {images.shape[-2]} px with logits of"
            f" shape {tuple(logits.shape)}, not (b, k, {height}, {width})",
            "A segmentation model says how much smaller its answer is in its attribute tiling.",
        )
    return logits


@dataclass(frozen=True, slots=True)
class _Window:
    """One tile along one axis.

    Attributes:
        start, stop: of what the network sees, in px of the padded image.
        first, last: of what it answers for, in px of the result.
    """

    start: int
    stop: int
    first: int
    last: int


def _windows(length: int, tiling: Tiling, tile_px: int, context_px: int) -> Iterator[_Window]:
    """The tiles along an axis of a padded image."""
    answered = length - 2 * tiling.margin_px
    for first in range(0, answered, tile_px):
        last = min(first + tile_px, answered)
        start = max(0, first - context_px)
        seen = tiling.input_px(last + context_px - start)
        yield _Window(start, min(start + seen, length), first, last)


def _run_tiles(model: nn.Module, images: Tensor, tiling: Tiling, tiles: Tiles) -> Tensor:
    overlap_px = tiling.context_px if tiles.overlap_px is None else tiles.overlap_px
    if tiling.margin_px:
        overlap_px = 0  # every answer of a valid network has its whole context
    exact = bool(tiling.margin_px) or overlap_px >= tiling.context_px
    exact = exact and getattr(model, "tiling", None) is not None
    context_px, tile_px = (
        -(-px // tiling.stride) * tiling.stride for px in (overlap_px, tiles.tile_px)
    )
    axes = [list(_windows(length, tiling, tile_px, context_px)) for length in images.shape[-2:]]
    size = [length - 2 * tiling.margin_px for length in images.shape[-2:]]
    total: Tensor | None = None
    weight = images.new_zeros(size)
    for row, column in itertools.product(*axes):
        part = _run(model, images[..., row.start : row.stop, column.start : column.stop], tiling)
        if total is None:
            total = part.new_zeros((*part.shape[:2], *size))
        if exact:
            kept = part[..., row.first - row.start :, column.first - column.start :]
            height, width = row.last - row.first, column.last - column.first
            total[..., row.first : row.last, column.first : column.last] = kept[
                ..., :height, :width
            ]
            continue
        ramp = torch.outer(
            *(
                _ramp(window, length, context_px, images)
                for window, length in zip((row, column), size, strict=True)
            )
        )
        total[..., row.start : row.stop, column.start : column.stop] += part * ramp
        weight[row.start : row.stop, column.start : column.stop] += ramp
    assert total is not None  # noqa: S101 - an image has a tile
    return total if exact else total / weight


def _ramp(window: _Window, length: int, context_px: int, like: Tensor) -> Tensor:
    """How much a tile's answers count along an axis: less towards a neighbour's middle."""
    at = torch.arange(window.start, window.stop, device=like.device, dtype=like.dtype) + 0.5
    weight = torch.ones_like(at)
    if window.start > 0:
        weight = torch.minimum(weight, (at - window.start) / (2 * context_px))
    if window.stop < length:
        weight = torch.minimum(weight, (window.stop - at) / (2 * context_px))
    return weight
