"""How fast images are read, by so many processes, and how fast a run is that reads and trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import cached_property, partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import torch

from zoo.data.datasets import ResidentDataset, Source
from zoo.data.loading import Loader, epoch_batches
from zoo.structures import Batch, SampleKey
from zoo.tasks import Task
from zoo.training import TrainingData
from zoo.wording import counted
from zoo.workflows._benchmark_model import Bench, Variant
from zoo.workflows._benchmark_timing import Candidate, Steps, wait_for
from zoo.workflows._plan import RunPlan

if TYPE_CHECKING:
    from zoo.data.transforms import Transforms

LOADER, TOGETHER = "loader", "loader + training"
"""The phases."""
AS_IN_A_RUN = "as in a run"
"""With the number of processes that a run takes."""
_STEPS_OF_WORKER = 4
"""Batches of a turn for each process: filling the pipeline is then a small part of it."""


class Reading:
    """The train split of a benchmark, read as training reads it; ``close`` ends the processes.

    Of files no image is kept in memory for the next time, as a run keeps those of small data.
    """

    def __init__(self, plan: RunPlan, source: Source, task: Task, device: torch.device) -> None:
        self._plan, self._task, self._device = plan, task, device
        self._split = source.splits["train"]
        self._transforms: Transforms = task.transforms(
            "train", plan.input, seed=plan.config.training.seed, **plan.transforms
        )
        self._stack = ExitStack()

    def close(self) -> None:
        """End all processes that read."""
        self._stack.close()

    def candidates(self, *, cpus: int) -> list[Candidate]:
        """Reading alone: by this process, by 1, 2, 4 ... up to ``cpus`` others, as in a run."""
        counts = [0, *(2**power for power in range(cpus.bit_length()) if 2**power <= cpus)]
        by_name: dict[str, int | None] = {counted(count, "worker"): count for count in counts}
        if isinstance(self._split, ResidentDataset):
            by_name = {}
        by_name[AS_IN_A_RUN] = self._plan.config.data.workers
        return [
            Candidate(
                phase=LOADER,
                name=name,
                start=partial(self._reading, workers),
                amount=self._images_of_step,
                least_steps=_STEPS_OF_WORKER * max(1, cpus if workers is None else workers),
            )
            for name, workers in by_name.items()
        ]

    def with_training(self, bench: Bench, variant: Variant, *, cpus: int) -> Candidate:
        """Reading as in a run, and training on what is read."""
        return Candidate(
            phase=TOGETHER,
            name=variant.name,
            start=partial(self._training, bench, variant),
            amount=self._images_of_step,
            precision=variant.precision,
            # A CPU trains so slowly that the wait for the first batch does not show.
            least_steps=_STEPS_OF_WORKER * (cpus if self._device.type == "cuda" else 1),
        )

    @cached_property
    def _epoch(self) -> Sequence[Sequence[SampleKey]]:
        """The batches of an epoch, which are read again and again."""
        training, images = self._plan.config.training, len(self._split)
        return epoch_batches(
            images,
            seed=training.seed,
            epoch=0,
            batch_size=min(training.batch_size, images),
            least_per_rank=self._task.least_images,
        )

    @property
    def _images_of_step(self) -> float:
        return len(self._split) / len(self._epoch)

    def _loader(self, workers: int | None) -> Loader:
        loader = Loader(
            self._split,
            self._transforms.sample,
            workers=workers,
            device=self._device,
            cache="auto" if isinstance(self._split, ResidentDataset) else "none",
            fill=self._transforms.fill,
        )
        return self._stack.enter_context(closing(loader))

    def _reading(self, workers: int | None) -> Steps:
        return self._steps(self._loader(workers), len)

    def _training(self, bench: Bench, variant: Variant) -> Steps:
        loader = self._loader(self._plan.config.data.workers)
        data = TrainingData(
            images=len(self._split),
            loader=loader,
            plan=lambda _epoch: self._epoch,
            transform=self._transforms.batch,
        )
        return self._steps(loader, bench.trainer(variant, data).train_step)

    def _steps(self, loader: Loader, use: Callable[[Batch], object]) -> Steps:
        """Read, and do something with each batch."""
        keys = cycle(self._epoch)

        def steps(number: int) -> float:
            start = time.perf_counter()
            for batch in loader.batches(list(islice(keys, number))):
                use(batch)
            wait_for(self._device)
            return time.perf_counter() - start

        return steps
