"""Transforms in two stages: what needs the file or differs per sample, and what the batch shares.

Workers run ``Transforms.sample``; the device runs ``Transforms.batch`` once for the whole batch.
Everything random is a function of (seed, epoch, index, repeat, transform), so that worker count,
world size and what ran before change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from zoo.data.datasets import Dataset
from zoo.structures import Batch, Sample, SampleKey

SampleTransform = Callable[[Sample, SampleKey], Sample]
BatchTransform = Callable[[Batch], Batch]


@runtime_checkable
class DrawingTransform(Protocol):
    """A sample transform that draws other images of the split; the reader says of which one."""

    def drawing_from(self, split: Dataset) -> SampleTransform:
        """The same transform for the images of a split."""
        ...


@dataclass(frozen=True, slots=True)
class Resizing:
    """How an evaluation image comes to the square that a model sees, for who does it elsewhere.

    Attributes:
        shorter_px: what the shorter side is resized to before the square in the middle is cut out;
            None: the whole image is resized to the square.
        interpolation: "bilinear" or "bicubic", antialiased.
    """

    shorter_px: int | None
    interpolation: str


@dataclass(frozen=True)
class Transforms:
    """Both stages for one split.

    Attributes:
        sample: crop, resize, augment; all its results have one size, unless ``fill`` is given.
            None where the batch stage does everything: the images are batched as they are.
        batch: shift, flip, erase, normalise, mix; images come out float32, normalised, all of the
            size that the model sees.
        fill: what images of several sizes do in a batch.  None: they are refused.  Otherwise they
            are padded with black below and to the right, and a target named here (a map of pixels,
            or a row for each object) at its ends with the value that stands beside it.
        resizing: of an evaluation; None where images keep their size, or nobody says.
    """

    sample: SampleTransform | None
    batch: BatchTransform
    fill: Mapping[str, int] | None = None
    resizing: Resizing | None = None
