"""Batches from a data set: in this process where the data are in memory, else by workers."""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils import signal_handling

from zoo.data._cache import cache_images
from zoo.data._dataset import Dataset, ResidentDataset
from zoo.data._reading import Reader, ResidentReader, SampleReader
from zoo.data._transforms import SampleTransform
from zoo.errors import DataError, ZooError
from zoo.structures import Batch, SampleKey

_IDLE = -1
_PID, _INDEX = 0, 1
_CLOSE_TIMEOUT_S = 5.0


class Loader:
    """Reads the batches of a plan, in its order.

    What comes out depends on the plan's keys alone.  One iteration at a time: beginning the next
    one ends the one before.

    Args:
        dataset: one split.
        transform: ``Transforms.sample`` of this split.
        workers: processes that read; 0 reads in this process; None takes what the machine and the
            data ask for.
        pin_memory: put batches in page-locked memory, for a CUDA device.
        cache: keep decoded images in memory: "memory" always, "auto" where they fit (see
            ``zoo.data._cache``), "none" never.
        timeout_s: how long a batch may take before its workers count as hung.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: SampleTransform | None,
        *,
        workers: int | None = None,
        pin_memory: bool = False,
        cache: Literal["auto", "memory", "none"] = "auto",
        timeout_s: float = 120.0,
    ) -> None:
        self._dataset = dataset
        self._transform = transform
        self._workers = workers
        self._pin_memory = pin_memory
        self._cache = cache
        self._timeout_s = timeout_s
        self._reader: Reader | None = None
        self._pool: _Pool | None = None

    def batches(self, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        """The batches of the plan.

        Raises:
            DataError: a sample cannot be read, or a worker died or hung; names sample and file.
        """
        if self._reader is None:
            self._prepare()
        if self._pool is not None:
            yield from self._pool.batches(plan)
            return
        assert self._reader is not None  # noqa: S101
        for keys in plan:
            batch = self._reader.read(keys)
            yield batch.pin_memory() if self._pin_memory else batch

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self._reader = None

    def _prepare(self) -> None:
        """On first use: fill the cache, then start workers, which share its memory."""
        if self._transform is None and isinstance(self._dataset, ResidentDataset):
            self._reader = ResidentReader(self._dataset)
            return
        dataset = cache_images(self._dataset, self._cache)
        in_memory = dataset is not self._dataset or isinstance(dataset, ResidentDataset)
        reader = SampleReader(dataset, self._transform)
        workers = self._choose_workers(in_memory)
        self._reader = reader
        if workers:
            self._pool = _Pool(
                reader, dataset, workers, pin_memory=self._pin_memory, timeout_s=self._timeout_s
            )

    def _choose_workers(self, in_memory: bool) -> int:
        """As asked; else none where nothing is decoded for a CPU, which needs its cores itself."""
        if self._workers is not None:
            return self._workers
        cpus = usable_cpus()
        if self._pin_memory:
            return min(cpus, 16)
        return 0 if in_memory else max(1, cpus // 2)


def usable_cpus() -> int:
    """Processors that this process may use, shared with the run's other local processes."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cpus // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class _Pool:
    """Persistent workers behind a ``DataLoader``, and the words for what happens to them."""

    def __init__(
        self,
        reader: SampleReader,
        dataset: Dataset,
        workers: int,
        *,
        pin_memory: bool,
        timeout_s: float,
    ) -> None:
        self._dataset = dataset
        self._timeout_s = timeout_s
        self._plan = _PlanSampler()
        # Each worker's process id and the sample it is at, in memory that all share.
        self._at = torch.full((workers, 2), _IDLE, dtype=torch.int64).share_memory_()
        with _no_advice():
            self._loader: DataLoader[Any] = DataLoader(
                _WorkerSide(reader, self._at),  # type: ignore[arg-type]
                batch_sampler=self._plan,  # type: ignore[arg-type]
                collate_fn=_as_it_is,  # type: ignore[arg-type]
                num_workers=workers,
                worker_init_fn=_start_worker,
                persistent_workers=True,
                prefetch_factor=2,
                pin_memory=pin_memory,
                timeout=timeout_s,
                # Fork is quick and shares the cache; workers never use CUDA.
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )

    def batches(self, plan: Sequence[Sequence[SampleKey]]) -> Iterator[Batch]:
        self._plan.plan = plan
        with _no_advice():
            iterator = iter(self._loader)
        for _ in range(len(plan)):
            answer = self._next(iterator)
            if isinstance(answer, ZooError):
                raise answer
            yield answer

    def close(self) -> None:
        iterator = self._loader._iterator  # noqa: SLF001  (DataLoader has no public way to end)
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
            self._loader._iterator = None  # noqa: SLF001

    def _next(self, iterator: Iterator[Any]) -> Any:
        try:
            return next(iterator)
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            failure = self._explain(str(error))
            self._kill_workers()
            raise failure from error

    def _explain(self, text: str) -> DataError:
        """Which sample the workers that died, or all that hang, were at."""
        dead = {
            int(pid)
            for pids in re.findall(r"pid(?:\(s\))? ([\d, ]+)", text)
            for pid in re.findall(r"\d+", pids)
        }
        at = [
            self._dataset.describe(index)
            for pid, index in self._at.tolist()
            if index != _IDLE and (not dead or pid in dead)
        ]
        where = f" while reading {' or '.join(at)}" if at else ""
        if not dead:
            return DataError(
                f"a loader process gave no batch for {self._timeout_s:g} s{where}",
                "Check that the file and its disk can be read.",
            )
        return DataError(
            f"a loader process died{where}: {text.strip().splitlines()[0]}",
            "It may have run out of memory (or of /dev/shm, in a container): try fewer workers.",
        )

    def _kill_workers(self) -> None:
        """A hung worker does not hear a polite request to end."""
        iterator: Any = self._loader._iterator  # noqa: SLF001
        # Else torch raises from a signal handler, somewhere, because these workers die.
        signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]  # noqa: SLF001
        iterator._worker_pids_set = False  # noqa: SLF001
        for worker in iterator._workers:  # noqa: SLF001
            if worker.is_alive():
                worker.kill()
            worker.join(_CLOSE_TIMEOUT_S)
        self.close()


class _PlanSampler:
    """The plan of the current iteration, as a ``DataLoader`` wants it."""

    plan: Sequence[Sequence[SampleKey]] = ()

    def __iter__(self) -> Iterator[Sequence[SampleKey]]:
        return iter(self.plan)

    def __len__(self) -> int:
        return len(self.plan)


class _WorkerSide:
    """What runs in a worker: notes the sample that it is at, and returns errors as values."""

    def __init__(self, reader: SampleReader, at: torch.Tensor) -> None:
        self._reader = reader
        self._at = at

    def __getitems__(self, keys: Sequence[SampleKey]) -> Batch | ZooError:
        worker = get_worker_info()
        assert worker is not None  # noqa: S101
        place = self._at[worker.id]
        place[_PID] = os.getpid()
        samples = []
        try:
            for key in keys:
                place[_INDEX] = key.index
                samples.append(self._reader.read_one(key))
            return self._reader.stack(samples, keys)
        except ZooError as error:
            error.__cause__ = None
            return error
        finally:
            place[_INDEX] = _IDLE


@contextmanager
def _no_advice() -> Iterator[None]:
    """Without the warnings that starting workers gives."""
    with warnings.catch_warnings():
        # Workers run Python and torch's kernels on one thread, and take none of our locks.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork")
        # How many workers are wise is our choice or the user's.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def _as_it_is(batch: Batch | ZooError) -> Batch | ZooError:
    return batch


def _start_worker(_: int) -> None:
    """Torch has one thread here already; what Ctrl-C means, the main process decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
