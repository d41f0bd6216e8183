"""Run a network that answers for each pixel on images of any size: pad, tile, run, cut.

Shapes: b images of one size, c channels, h w px, k classes.

An image is mirrored at its border up to a size that the network takes.  A large one is run in
tiles that begin at multiples of the network's stride; each sees as much around it as can change
its answer, so that the whole equals what one pass over the image gives.
"""

from __future__ import annotations

import itertools
import sys
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

    def run_whole(self, model: nn.Module, height: int, width: int) -> bool:
        """Whether an image of this size is not cut: it is small, or nobody says how to."""
        unknown = _stated(model) is None and self.overlap_px is None
        return unknown or (height <= self.tile_px and width <= self.tile_px)

    def are_exact(self, model: nn.Module, height: int, width: int) -> bool:
        """Whether an image of this size gets the answer of one pass over the whole."""
        tiling = _stated(model)
        if tiling is None or self.run_whole(model, height, width):
            return self.run_whole(model, height, width)
        return tiling.margin_px > 0 or self.overlap_of(tiling) >= tiling.context_px

    def overlap_of(self, tiling: Tiling) -> int:
        """How far a tile sees beyond what it answers for; a valid network's margin does that."""
        if tiling.margin_px:
            return 0
        return tiling.context_px if self.overlap_px is None else self.overlap_px


UNCUT = Tiles(sys.maxsize)


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
    tiling = _stated(model) or UNKNOWN
    mirrored = max(tiling.margin_px - frame_px, 0)
    start = mirrored + frame_px - tiling.margin_px
    height, width = (length - 2 * frame_px for length in images.shape[-2:])
    inputs = [
        tiling.input_px(max(start + wanted, mirrored + length - 2 * tiling.margin_px))
        for wanted, length in zip((height, width), images.shape[-2:], strict=True)
    ]
    images = mirror(images, mirrored, inputs)
    if tiles.run_whole(model, height, width):
        logits = _run(model, images, tiling)
    elif tiles.are_exact(model, height, width):
        logits = _join(model, images, tiling, tiles)
    else:
        logits = _blend(model, images, tiling, tiles)
    return logits[..., start : start + height, start : start + width]


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
            # A tensor, since exporters know no remainder by a length that is no constant.
            period = torch.full_like(at, max(2 * (own - 1), 1))
            at = at % period
            images = images.index_select(dim, torch.minimum(at, period - at) if own > 1 else at)
    return images


def _stated(model: nn.Module) -> Tiling | None:
    """What the model says of itself."""
    tiling: Tiling | None = getattr(model, "tiling", None)
    return tiling


def _run(model: nn.Module, images: Tensor, tiling: Tiling) -> Tensor:
    logits: Tensor = model(images)
    height, width = (length - 2 * tiling.margin_px for length in images.shape[-2:])
    is_tensor = isinstance(logits, Tensor)
    if not is_tensor or logits.ndim != 4 or logits.shape[-2:] != (height, width):
        what = (
            f"logits of shape {tuple(logits.shape)}" if is_tensor else f"a {type(logits).__name__}"
        )
        raise ConfigError(
            f"the model answers images of {images.shape[-1]} x {images.shape[-2]} px with {what},"
            f" not with logits (b, k, {height}, {width})",
            "A segmentation model says in its attribute tiling of which sizes images must be, and"
            " how much smaller its answer is.",
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


Part = tuple[_Window, _Window, Tensor]
"""Where a tile is along both axes, and its logits."""


def _parts(model: nn.Module, images: Tensor, tiling: Tiling, tiles: Tiles) -> Iterator[Part]:
    """The tiles of padded images, run one by one."""
    context_px, tile_px = (
        -(-px // tiling.stride) * tiling.stride for px in (tiles.overlap_of(tiling), tiles.tile_px)
    )
    axes = (_windows(length, tiling, tile_px, context_px) for length in images.shape[-2:])
    for row, column in itertools.product(*axes):
        seen = images[..., row.start : row.stop, column.start : column.stop]
        yield row, column, _run(model, seen, tiling)


def _windows(length: int, tiling: Tiling, tile_px: int, context_px: int) -> Iterator[_Window]:
    """The tiles along an axis of padded images."""
    answered = length - 2 * tiling.margin_px
    for first in range(0, answered, tile_px):
        last = min(first + tile_px, answered)
        start = max(0, first - context_px)
        seen = tiling.input_px(last + context_px - start)
        yield _Window(start, min(start + seen, length), first, last)


def _join(model: nn.Module, images: Tensor, tiling: Tiling, tiles: Tiles) -> Tensor:
    """Of each tile what it has seen the whole context of."""
    total = None
    for row, column, part in _parts(model, images, tiling, tiles):
        total = _nothing(images, part, tiling) if total is None else total
        top, left = row.first - row.start, column.first - column.start
        height, width = row.last - row.first, column.last - column.first
        kept = part[..., top : top + height, left : left + width]
        total[..., row.first : row.last, column.first : column.last] = kept
    assert total is not None  # noqa: S101 - an image has a tile
    return total


def _blend(model: nn.Module, images: Tensor, tiling: Tiling, tiles: Tiles) -> Tensor:
    """The mean of the tiles at each pixel, each weighing less towards its own border."""
    total = weight = None
    for row, column, part in _parts(model, images, tiling, tiles):
        total = _nothing(images, part, tiling) if total is None else total
        weight = torch.zeros_like(total[:1, :1]) if weight is None else weight
        ramp = torch.outer(_ramp(row, total.shape[-2], part), _ramp(column, total.shape[-1], part))
        total[..., row.start : row.stop, column.start : column.stop] += part * ramp
        weight[..., row.start : row.stop, column.start : column.stop] += ramp
    assert total is not None  # noqa: S101 - an image has a tile
    assert weight is not None  # noqa: S101
    return total / weight


def _nothing(images: Tensor, part: Tensor, tiling: Tiling) -> Tensor:
    """Zeros for all logits of padded images."""
    size = [length - 2 * tiling.margin_px for length in images.shape[-2:]]
    return part.new_zeros((*part.shape[:2], *size))


def _ramp(window: _Window, length: int, like: Tensor) -> Tensor:
    """How much a tile's answers count along an axis: less and less where a neighbour's are."""
    at = torch.arange(window.start, window.stop, device=like.device, dtype=torch.float32) + 0.5
    before, after = window.first - window.start, window.stop - window.last
    weight = torch.ones_like(at)
    if window.start > 0:
        weight = torch.minimum(weight, (at - window.start) / (2 * before))
    if window.stop < length:
        weight = torch.minimum(weight, (window.stop - at) / (2 * after))
    return weight.to(like.dtype)
