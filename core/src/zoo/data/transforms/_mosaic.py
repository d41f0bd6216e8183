"""Mosaic: four images in one, with what is in them (Bochkovskiy 2020, arXiv:2004.10934, 3.3).

Objects are seen smaller, beside things that they are never beside, and a batch holds four times as
many.

Differs from the source: the whole has the size of the image that it is made for, so that batches
of similar ratios stay so; each part covers its corner, so that nothing is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from zoo.data.datasets import Dataset, check_one_dtype
from zoo.data.transforms._box_stage import OF_OBJECTS, PROPOSED, BoxStage, resize_sample, see
from zoo.data.transforms._transforms import SampleTransform
from zoo.randomness import uniform
from zoo.structures import Sample, SampleKey

_CENTRE = (0.3, 0.7)
"""Where the four meet, as fractions of height and width."""


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """Join the image with three others of its split, now and then, and go on with ``stage``.

    Which others is a function of the sample's key, as all that is random.  An image of no split
    has no others: it only goes through ``stage``.

    Attributes:
        seed: of the run.
        probability: of joining.
        stage: what comes after.
    """

    seed: int
    probability: float
    stage: BoxStage

    def drawing_from(self, split: Dataset) -> SampleTransform:
        """The same transform for the images of a split."""
        return partial(self._with_others, split)

    def __call__(self, sample: Sample, key: SampleKey) -> Sample:
        return self.stage(sample, key)

    def _with_others(self, split: Dataset, sample: Sample, key: SampleKey) -> Sample:
        draws = uniform(self.seed, "mosaic", [key], 6)[0].tolist()
        if draws[0] < self.probability:
            others = [int(draw * len(split)) for draw in draws[3:]]
            parts = [sample, *map(split.load, others)]
            images = [part.image for part in parts]
            check_one_dtype(split, dict(zip((key.index, *others), images, strict=True)))
            low, high = _CENTRE
            centre = (low + draws[1] * (high - low), low + draws[2] * (high - low))
            sample = join(parts, centre, self.stage)
        return self.stage(sample, key)


def join(parts: Sequence[Sample], centre: tuple[float, float], stage: BoxStage) -> Sample:
    """Four images in one of the first one's size.

    Args:
        parts: upper left, upper right, lower left, lower right.
        centre: where they meet, as fractions of height and width.
        stage: says how images are resized, and how much of itself a box must keep.
    """
    height, width = parts[0].image.shape[-2:]
    row, column = (
        max(1, round(at * side)) for at, side in zip(centre, (height, width), strict=True)
    )
    corners = [
        (top, left, bottom - top, right - left)
        for top, bottom in ((0, row), (row, height))
        for left, right in ((0, column), (column, width))
    ]
    image = torch.empty_like(parts[0].image)
    rows_of = (*OF_OBJECTS, *PROPOSED)
    targets: dict[str, list[torch.Tensor]] = {name: [] for name in rows_of}
    for part, (top, left, rows, columns) in zip(parts, corners, strict=True):
        if not rows or not columns:
            continue
        shown = _cover(part, rows, columns, at_top=top > 0, at_left=left > 0, stage=stage)
        image[..., top : top + rows, left : left + columns] = shown.image
        own = {name: torch.as_tensor(of) for name, of in shown.targets.items()}
        for name in own.keys() & {"boxes", "proposals"}:
            own[name] = own[name] + torch.tensor([left, top, left, top])
        for name in own.keys() & {*rows_of}:
            targets[name].append(own[name])
    joined: dict[str, torch.Tensor | float] = {
        name: torch.cat(of) for name, of in targets.items() if of
    }
    if "proposals" in joined:
        joined["proposal_counts"] = len(torch.as_tensor(joined["proposals"]))
    return Sample(image, joined)


def _cover(
    part: Sample, rows: int, columns: int, *, at_top: bool, at_left: bool, stage: BoxStage
) -> Sample:
    """The image as small as it can be to fill so many rows and columns, cut to them.

    Args:
        part: an image with its boxes.
        rows: to fill.
        columns: to fill.
        at_top: what is too much is cut away below, not above.
        at_left: what is too much is cut away to the right, not to the left.
        stage: as for ``join``.
    """
    height, width = part.image.shape[-2:]
    factor = max(rows / height, columns / width)
    tall, wide = max(rows, round(height * factor)), max(columns, round(width * factor))
    whole = resize_sample(part, tall, wide, mode=stage.interpolation)
    window = (0 if at_top else tall - rows, 0 if at_left else wide - columns, rows, columns)
    return see(whole, window, least_visible=stage.least_visible)
