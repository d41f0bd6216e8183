"""The order of an epoch, as a pure function of (seed, epoch): which sample is in which batch.

A plan is cut from one global stream of samples that is the same for every number of processes, so
a resume is a slice of the plan, and a run may go on with another number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.errors import DataError
from zoo.randomness import hash_words
from zoo.structures import SampleKeys
from zoo.wording import counted

Numbers = NDArray[np.int64]

_GROUPS_PER_OCTAVE = 3
"""Ratios of width to height from 0.89 to 1.12 are of one group, those up to 1.41 of the next."""


class Plan(Sequence[SampleKeys]):
    """Batches of sample keys; a slice of a plan is a plan.

    Args:
        keys: of the plan's stream of samples.
        bounds: (batches, 2) where each batch starts and stops in the stream.
    """

    def __init__(self, keys: SampleKeys, bounds: Numbers) -> None:
        self._keys = keys
        self._bounds = bounds

    def __len__(self) -> int:
        return len(self._bounds)

    @overload
    def __getitem__(self, item: int) -> SampleKeys: ...

    @overload
    def __getitem__(self, item: slice) -> Plan: ...

    def __getitem__(self, item: int | slice) -> SampleKeys | Plan:
        if isinstance(item, slice):
            return Plan(self._keys, self._bounds[item])
        start, stop = self._bounds[item]
        return self._keys[start:stop]

    def __iter__(self) -> Iterator[SampleKeys]:
        # Python's own numbers: numpy's, read one by one, cost as much as a small batch.
        return (self._keys[start:stop] for start, stop in self._bounds.tolist())


def epoch_batches(  # noqa: PLR0913  (all that an epoch depends on)
    length: int,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    repeats: int = 1,
    weights: ArrayLike | None = None,
    ratios: ArrayLike | None = None,
    rank: int = 0,
    world: int = 1,
    pairs: bool = False,
    least_per_rank: int = 2,
) -> Plan:
    """One process's training batches of an epoch.

    An epoch has ``length`` samples, whatever the options.  Its batches differ in size by at most
    one sample, and nobody is dropped.  No process gets fewer than ``least_per_rank`` samples of a
    batch; where that forbids another cut, batches are a little larger than ``batch_size``.

    Args:
        length: images in the split.
        seed: of the run.
        epoch: from 0.
        batch_size: samples of an optimizer step over all processes.
        repeats: copies of each image drawn, in one batch where they fit (repeated augmentation,
            Hoffer 2020, arXiv:1901.09335): ``length / repeats`` images are drawn in an epoch.
        weights: (length,) how often each image is drawn, relatively; None draws each once.
        ratios: (length,) width by height of each image; a batch then holds images of one group of
            similar ratios, so that little is padded, but for the one batch where two groups meet.
            Which images of a group meet, and the order of the batches, are drawn for each epoch.
        rank: this process.
        world: number of processes.
        pairs: keep neighbours 2i and 2i+1 of a batch together, for mixing: the shares of the
            processes are then made of whole pairs, and an odd batch's last sample stays alone.
        least_per_rank: 2 is what batch norm needs; 1 for models without it.

    Raises:
        DataError: too few images, or too small a batch, for so many processes.
    """
    least = max(least_per_rank, 2 if pairs else 1) * world
    _check_sizes(length, batch_size, least, world)
    indices, copies = _epoch_stream(length, seed, epoch, repeats, weights)
    if ratios is not None:
        order = np.argsort(_ratio_groups(ratios)[indices], kind="stable")
        indices, copies = indices[order], copies[order]
    sizes = _even_parts(length, min(-(-length // batch_size), length // least))
    if repeats > 1:
        indices, copies = _keep_copies_apart(indices, copies, sizes)
    stops = np.cumsum(sizes)
    starts = stops - sizes
    share = _pair_share if pairs else _share
    bounds = np.stack(share(starts, stops, rank, world), axis=1)
    if ratios is not None:
        order = np.argsort(hash_words(seed, "batches", epoch, np.arange(len(sizes))), kind="stable")
        bounds = bounds[order]
    keys = SampleKeys(np.stack([np.full_like(indices, epoch), indices, copies], axis=1), seed)
    return Plan(keys, bounds)


def evaluation_batches(length: int, *, batch_size: int, rank: int = 0, world: int = 1) -> Plan:
    """One process's batches of an evaluation: every image once, in order, without padding.

    The processes' parts are consecutive and differ by at most one image; with fewer images than
    processes, some plans are empty.

    Args:
        length: images in the split.
        batch_size: images of a batch over all processes.
        rank: this process.
        world: number of processes.
    """
    (first,), (last,) = _share(np.array([0]), np.array([length]), rank, world)
    starts = np.arange(first, last, -(-batch_size // world), dtype=np.int64)
    stops = np.append(starts[1:], last) if len(starts) else starts
    indices = np.arange(length, dtype=np.int64)
    zeros = np.zeros_like(indices)
    keys = SampleKeys(np.stack([zeros, indices, zeros], axis=1))
    return Plan(keys, np.stack([starts, stops], axis=1))


def _check_sizes(length: int, batch_size: int, least: int, world: int) -> None:
    processes = counted(world, "process")
    if length < least:
        raise DataError(
            f"{counted(length, 'training image')} cannot serve {processes}: each needs"
            f" {least // world} in every batch",
            "Add images, or use fewer processes.",
        )
    if batch_size < least:
        raise DataError(
            f"a batch size of {batch_size} is too small for {processes}: each needs"
            f" {counted(least // world, 'image')} in every batch",
            f"Use a batch size of at least {least}.",
        )


def _epoch_stream(
    length: int, seed: int, epoch: int, repeats: int, weights: ArrayLike | None
) -> tuple[Numbers, Numbers]:
    """Index and copy of each of the ``length`` samples of an epoch, in order."""
    drawn = -(-length // repeats)
    if weights is None:
        order = np.argsort(hash_words(seed, "order", epoch, np.arange(length)), kind="stable")
        indices, copies = order[:drawn], np.zeros(drawn, dtype=np.int64)
    else:
        indices, copies = _draw_weighted(drawn, length, seed, epoch, np.asarray(weights))
        order = np.argsort(hash_words(seed, "order", epoch, indices, copies), kind="stable")
        indices, copies = indices[order], copies[order]
    indices = np.repeat(indices, repeats)[:length]
    copies = (copies[:, None] * repeats + np.arange(repeats)).reshape(-1)[:length]
    return indices, copies


def _draw_weighted(
    drawn: int, length: int, seed: int, epoch: int, weights: NDArray[np.float64]
) -> tuple[Numbers, Numbers]:
    """Systematic sampling: an image of weight w is drawn floor or ceil of its fair number of times.

    Images of one weight are neighbours here, so that each class's number is exact to one where the
    weights tell the classes apart.
    """
    if weights.shape != (length,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"weights: {length} finite numbers, none negative, are needed")
    shuffled = np.lexsort((hash_words(seed, "draw", epoch, np.arange(length)), weights))
    edges = np.cumsum(weights[shuffled])
    offset = float(hash_words(seed, "draw offset", epoch)[0] >> np.uint64(11)) * 2.0**-53
    points = (np.arange(drawn) + offset) * (edges[-1] / drawn)
    chosen = np.searchsorted(edges, points, side="right").clip(max=length - 1)
    indices = shuffled[chosen]
    copies = np.arange(drawn) - np.searchsorted(chosen, chosen)
    return indices, copies


def _ratio_groups(ratios: ArrayLike) -> Numbers:
    """(length,) number of each image's group, rising with its ratio."""
    groups = np.round(_GROUPS_PER_OCTAVE * np.log2(np.asarray(ratios, dtype=np.float64)))
    return groups.astype(np.int64)


def _keep_copies_apart(
    indices: Numbers, copies: Numbers, sizes: Numbers
) -> tuple[Numbers, Numbers]:
    """Order each batch by copy, so that mixing pairs different images where there are any."""
    batch = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((copies, batch))
    return indices[order], copies[order]


def _even_parts(total: int, parts: int) -> Numbers:
    """Sizes that sum to the total and differ by at most one, larger ones first."""
    sizes = np.full(parts, total // parts, dtype=np.int64)
    sizes[: total % parts] += 1
    return sizes


def _share(starts: Numbers, stops: Numbers, rank: int, world: int) -> tuple[Numbers, Numbers]:
    """One process's consecutive part of each batch; parts differ by at most one."""
    sizes, extra = np.divmod(stops - starts, world)
    first = starts + rank * sizes + np.minimum(rank, extra)
    return first, first + sizes + (rank < extra)


def _pair_share(starts: Numbers, stops: Numbers, rank: int, world: int) -> tuple[Numbers, Numbers]:
    """The same in whole pairs; larger parts last, where the odd one is."""
    sizes, extra = np.divmod(-(-(stops - starts) // 2), world)
    smaller = world - extra
    first = rank * sizes + np.maximum(0, rank - smaller)
    last = first + sizes + (rank >= smaller)
    return starts + 2 * first, np.minimum(starts + 2 * last, stops)
