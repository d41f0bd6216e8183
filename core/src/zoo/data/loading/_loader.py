"""Batches from a data set: in this process where the data are in memory, else by workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal

import torch

from zoo.cores import usable_cores
from zoo.data.datasets import Dataset, ResidentDataset
from zoo.data.loading._cache import FREE_MEMORY_FRACTION, cache_images
from zoo.data.loading._reading import Reader, ResidentReader, SampleReader
from zoo.data.loading._workers import WorkerPool
from zoo.data.transforms import SampleTransform
from zoo.structures import Batch, SampleKey


class Loader:
    """Reads the batches of a plan, in its order.

    What comes out depends on the plan's keys alone.  One iteration at a time: beginning the next
    one ends the one before.

    Args:
        dataset: one split.
        transform: ``Transforms.sample`` of this split.
        workers: processes that read; 0 reads in this process; None takes what the machine and the
            data ask for.
        device: where batches are used.  A CUDA device gets them there, copied while it computes;
            and a split that is in memory, and is read as it is, is kept there where it fits.
        cache: keep decoded images in memory: "memory" always, "auto" where they fit (see
            ``zoo.data.loading._cache``), "none" never.
        fill: ``Transforms.fill`` of this split.
        timeout_s: how long a batch may take before its workers count as hung.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: SampleTransform | None,
        *,
        workers: int | None = None,
        device: torch.device | None = None,
        cache: Literal["auto", "memory", "none"] = "auto",
        fill: Mapping[str, int] | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        self._dataset = dataset
        self._transform = transform
        self._workers = workers
        self._cuda = device if device is not None and device.type == "cuda" else None
        self._cache = cache
        self._fill = fill
        self._timeout_s = timeout_s
        self._running: _InProcess | WorkerPool | None = None

    def batches(self, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        """The batches of the plan.

        Raises:
            DataError: a sample cannot be read, or a worker died or hung; names sample and file.
        """
        if self._running is None:
            self._running = self._start()
        batches = self._running.batches(plan)
        return batches if self._cuda is None else copied_to(self._cuda, batches)

    def close(self) -> None:
        """End the workers; a later iteration starts new ones."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def _start(self) -> _InProcess | WorkerPool:
        """Fill the cache, then start workers, which share its memory."""
        if self._transform is None and isinstance(self._dataset, ResidentDataset):
            home = self._home(self._dataset)
            resident = ResidentReader(self._dataset, device=home)
            return _InProcess(resident, pin_memory=self._cuda is not None and home is None)
        dataset = cache_images(self._dataset, self._cache)
        in_memory = dataset is not self._dataset or isinstance(dataset, ResidentDataset)
        reader = SampleReader(dataset, self._transform, self._fill)
        workers = self._choose_workers(in_memory)
        if workers == 0:
            return _InProcess(reader, pin_memory=self._cuda is not None)
        return WorkerPool(
            reader,
            workers,
            describe=dataset.describe,
            pin_memory=self._cuda is not None,
            timeout_s=self._timeout_s,
        )

    def _home(self, dataset: ResidentDataset) -> torch.device | None:
        """The CUDA device, if the split is to be kept there and takes little of its free memory."""
        if self._cuda is None or self._cache == "none":
            return None
        tensors = [dataset.images, *dataset.targets.values()]
        size_bytes = sum(tensor.nbytes for tensor in tensors)
        free_bytes, _ = torch.cuda.mem_get_info(self._cuda)
        return self._cuda if size_bytes <= FREE_MEMORY_FRACTION * free_bytes else None

    def _choose_workers(self, in_memory: bool) -> int:
        """As asked; else none where nothing is decoded for a CPU, which needs its cores itself."""
        if self._workers is not None:
            return self._workers
        cpus = usable_cpus()
        if self._cuda is not None:
            return min(cpus, 16)
        return 0 if in_memory else max(1, cpus // 2)


def copied_to(device: torch.device, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Batches on a CUDA device, which goes on computing while the next one is copied.

    Args:
        device: the CUDA device.
        batches: in page-locked memory, or on a CUDA device already.
    """
    stream = _copy_stream(device)
    for batch in batches:
        if batch.images.is_cuda:
            yield batch
            continue
        with torch.cuda.stream(stream):
            copied = batch.to(device)
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(stream)
        for tensor in (copied.images, copied.ids, *copied.targets.values()):
            # Its memory is not given to another copy before what is computed from it is done.
            tensor.record_stream(computing)
        yield copied


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all epochs: memory that was taken on a stream is of no use to another."""
    return torch.cuda.Stream(device)


def usable_cpus() -> int:
    """Processors that this process may use, shared with the run's other local processes."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class _InProcess:
    """Reads when asked, in this process."""

    def __init__(self, reader: Reader, *, pin_memory: bool) -> None:
        self._reader = reader
        self._pin_memory = pin_memory

    def batches(self, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        for keys in plan:
            batch = self._reader.read(keys)
            yield batch.pin_memory() if self._pin_memory else batch

    def close(self) -> None:
        """Nothing to end."""
