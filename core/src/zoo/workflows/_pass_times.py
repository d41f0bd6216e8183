"""What one image costs several models: the time of a pass, and its multiply-adds.

The images are of the split that is scored, one at a time, and ready on the device before the clock
starts: decoding and resizing are not measured.  A pass is the model's forward pass and the task's
own reading of it (softmax, non-maximum suppression), as a prediction makes it.  The models take
turns, round by round, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import torch

from zoo.data.datasets import Dataset
from zoo.data.loading import Loader
from zoo.devices import autocast
from zoo.inference import Predictor
from zoo.models import counted_multiply_adds
from zoo.structures import Batch, SampleKey
from zoo.workflows._benchmark_timing import Timing, timed

_TURN_S = 0.1
"""How long a model's turn in a round lasts at least, so that the clock's grain is nothing."""


@dataclass(frozen=True, kw_only=True)
class PassCost:
    """What one image costs a model.

    Attributes:
        time_s: the median over the rounds, each with another image.
        spread_fraction: slowest minus fastest round, relative to the median.
        gmacs: multiply-adds of convolutions and linear layers in 10^9, mean over the images.
    """

    time_s: float
    spread_fraction: float
    gmacs: float


def measure_passes(
    predictors: Sequence[Predictor],
    datasets: Sequence[Dataset],
    *,
    rounds: int,
    progress: Callable[[int], None],
) -> list[PassCost]:
    """What one image costs each model, in their order.

    Args:
        predictors: all on one device.
        datasets: the same split for each of them.
        rounds: turns that each of them takes, each with another image of the split.
        progress: called with the passes and turns done: twice ``rounds`` for each model in all.
    """
    passes = [
        _Passes(predictor, dataset, _spread(len(dataset), rounds))
        for predictor, dataset in zip(predictors, datasets, strict=True)
    ]
    done = 0
    for each in passes:
        for number in range(rounds):
            each.warm_up(number)
            progress(done := done + 1)
    for number in range(rounds):
        # Back and forth, so that nobody always follows the same neighbour.
        for each in passes if number % 2 else reversed(passes):
            each.take_turn(number)
            progress(done := done + 1)
    return [each.cost() for each in passes]


def _spread(images: int, rounds: int) -> list[int]:
    """An image for each round, evenly over the split."""
    return [number * images // rounds for number in range(rounds)]


class _Passes:
    """The passes of one model, and what they took."""

    def __init__(self, predictor: Predictor, dataset: Dataset, indices: Sequence[int]) -> None:
        self._predictor = predictor
        self._batches = _single_images(predictor, dataset, indices)
        self._repeats = 1
        self._times_s: list[float] = []
        self._multiply_adds = 0

    def warm_up(self, number: int) -> None:
        """Pass an image for the first time: kernels are chosen by its shape, the work is counted.

        Raises:
            DeviceMemoryError: it needs more memory than there is.
        """
        first_pass = partial(self._seconds, self._batches[number])
        with counted_multiply_adds(self._predictor.model) as counted:
            time_s = self._predictor.micro_batch.fit(first_pass, 1)
        self._multiply_adds += sum(counted.values())
        self._repeats = max(self._repeats, round(_TURN_S / time_s))

    def take_turn(self, number: int) -> None:
        """Pass an image again, often enough for the clock."""
        self._times_s.append(self._seconds(self._batches[number], self._repeats))

    def cost(self) -> PassCost:
        timing = Timing(self._times_s, peak_memory_bytes=None)
        return PassCost(
            time_s=timing.median_s,
            spread_fraction=timing.spread_fraction,
            gmacs=self._multiply_adds / len(self._batches) / 1e9,
        )

    def _seconds(self, batch: Batch, repeats: int = 1) -> float:
        """Of one of ``repeats`` passes, the device's work included."""
        predictor = self._predictor
        passes = timed(partial(predictor.task.predict, predictor.model, batch), predictor.device)
        with torch.no_grad(), autocast(predictor.device, predictor.precision):
            return passes(repeats) / repeats


def _single_images(predictor: Predictor, dataset: Dataset, indices: Sequence[int]) -> list[Batch]:
    """Images one by one, as the model takes them, without the targets that they are scored by."""
    transforms = predictor.transforms
    loader = Loader(dataset, transforms.sample, workers=0, cache="none", fill=transforms.fill)
    with (
        closing(loader),
        torch.no_grad(),
        autocast(predictor.device, predictor.precision),
    ):
        batches = loader.batches([[SampleKey(0, index)] for index in indices])
        prepared = [transforms.batch(batch.to(predictor.device)) for batch in batches]
    truth = predictor.task.targets
    return [
        replace(batch, targets={k: v for k, v in batch.targets.items() if k not in truth})
        for batch in prepared
    ]
