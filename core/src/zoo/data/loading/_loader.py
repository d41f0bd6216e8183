"""Batches from a data set: in this process where the data are in memory, else by workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
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
    one ends the one before, also of loaders that share their workers.

    Args:
        dataset: one split.
        transform: ``Transforms.sample`` of this split.
        workers: processes that read; 0 reads in this process; None takes what the machine and the
            data ask for; another loader, for the same device, shares its own.
        device: where batches are used.  A CUDA device gets them there, copied while it computes;
            and a split that is in memory, and is read as it is, is kept there where it fits.
        cache: keep decoded images in memory: "memory" always, "auto" where they fit (see
            ``zoo.data.loading._cache``), "none" never.
        fill: ``Transforms.fill`` of this split.
        timeout_s: how long a batch may take before workers count as hung that are not shared.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: SampleTransform | None,
        *,
        workers: int | Loader | None = None,
        device: torch.device | None = None,
        cache: Literal["auto", "memory", "none"] = "auto",
        fill: Mapping[str, int] | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        cuda = device if device is not None and device.type == "cuda" else None
        self._cuda = cuda
        self._pool: WorkerPool = (
            workers._pool  # noqa: SLF001
            if isinstance(workers, Loader)
            else WorkerPool(workers, timeout_s=timeout_s)
        )
        # Filled when it is first needed, by this loader or by workers that are about to start.
        self._reader = lru_cache(partial(_open_reader, dataset, transform, cache, fill, cuda))
        self._number = self._pool.add(self._reader)

    def batches(self, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        """The batches of the plan.

        Raises:
            DataError: a sample cannot be read, or a worker died or hung; names sample and file.
        """
        reader = self._reader()
        workers = self._choose_workers(reader)
        if workers == 0:
            batches = self._read_here(reader, plan)
        else:
            batches = self._pool.batches(
                self._number, plan, workers=workers, pin_memory=self._cuda is not None
            )
        return batches if self._cuda is None else copied_to(self._cuda, batches)

    def close(self) -> None:
        """End the workers, also of loaders that share them; a later iteration starts new ones."""
        self._pool.close()
        self._reader.cache_clear()

    def _read_here(self, reader: Reader, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        for keys in plan:
            batch = reader.read(keys)
            there = self._cuda is None or batch.images.is_cuda
            yield batch if there else batch.pin_memory()

    def _choose_workers(self, reader: Reader) -> int:
        """As asked; else none where nothing is decoded for a CPU, which needs its cores itself."""
        if isinstance(reader, ResidentReader):
            return 0
        if self._pool.workers is not None:
            return self._pool.workers
        cpus = usable_cpus()
        if self._cuda is not None:
            return min(cpus, 16)
        return 0 if reader.in_memory else max(1, cpus // 2)


def _open_reader(
    dataset: Dataset,
    transform: SampleTransform | None,
    cache: Literal["auto", "memory", "none"],
    fill: Mapping[str, int] | None,
    cuda: torch.device | None,
) -> Reader:
    """Fill the cache, and say how the split is read."""
    if transform is None and isinstance(dataset, ResidentDataset):
        return ResidentReader(dataset, device=_home(dataset, cache, cuda))
    return SampleReader(cache_images(dataset, cache), transform, fill)


def _home(dataset: ResidentDataset, cache: str, cuda: torch.device | None) -> torch.device | None:
    """The CUDA device, if the split is to be kept there and takes little of its free memory."""
    if cuda is None or cache == "none":
        return None
    tensors = [dataset.images, *dataset.targets.values()]
    size_bytes = sum(tensor.nbytes for tensor in tensors)
    free_bytes, _ = torch.cuda.mem_get_info(cuda)
    return cuda if size_bytes <= FREE_MEMORY_FRACTION * free_bytes else None


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
