"""Loader processes: what they read comes back in order, and how they fail is said in words.

A worker notes the sample that it is at in memory that all share, so that one that was killed or
hangs can be asked, after its death, what it was reading.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils import signal_handling

from zoo.data.loading._reading import Reader, SampleReader
from zoo.errors import DataError, ZooError
from zoo.structures import Batch, SampleKey

_IDLE = -1
_PID, _READER, _INDEX = range(3)
_CLOSE_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 5.0
_ENDING_S = 0.5

Request = tuple[int, Sequence[SampleKey]]
"""The number of a reader, and what it shall make a batch of."""


class WorkerPool:
    """Persistent workers for all loaders that are given it, one of which reads at a time.

    They start with the first batch, when the caches of all these loaders are filled, whose memory
    they share.

    Args:
        workers: their number; default: what the machine and the data ask for.
        timeout_s: how long a batch may take before they count as hung.
    """

    def __init__(self, workers: int | None = None, *, timeout_s: float = 120.0) -> None:
        self.workers = workers
        self._timeout_s = timeout_s
        self._open: list[Callable[[], Reader]] = []
        self._readers: dict[int, SampleReader] = {}
        self._requests = _Requests()
        self._loader: DataLoader[Any] | None = None
        self._turn = 0

    def add(self, open_reader: Callable[[], Reader]) -> int:
        """Serve a reader, which is opened when workers start; those that run already end.

        Returns:
            Its number.
        """
        self.close()
        self._open.append(open_reader)
        return len(self._open) - 1

    def batches(
        self, number: int, plan: Sequence[Sequence[SampleKey]], *, workers: int, pin_memory: bool
    ) -> Iterator[Batch]:
        """The batches of the plan, in its order.

        Args:
            number: of the reader.
            plan: the keys of each batch.
            workers: so many are started, unless they run already.
            pin_memory: put batches in page-locked memory.

        Raises:
            DataError: of a sample, or a worker died or hung.
        """
        if self._loader is None:
            self._loader = self._start(workers, pin_memory=pin_memory)
        self._requests.number, self._requests.plan = number, plan
        with _no_advice():
            iterator: Any = iter(self._loader)
        _keep_silent(iterator)
        self._turn += 1
        turn = self._turn
        for _ in range(len(plan)):
            if turn != self._turn:
                raise RuntimeError("these workers were closed, or have begun to read another plan")
            answer = self._next(iterator)
            if isinstance(answer, ZooError):
                raise answer
            yield answer

    def close(self) -> None:
        """End the workers."""
        iterator: Any = self._loader and self._loader._iterator  # noqa: SLF001  (no public way)
        if iterator is not None:
            iterator._shutdown_workers()  # noqa: SLF001
        self._loader, self._readers = None, {}
        self._turn += 1

    def _start(self, workers: int, *, pin_memory: bool) -> DataLoader[Any]:
        """Open what is read, and get ready to fork."""
        opened = enumerate(open_reader() for open_reader in self._open)
        self._readers = {n: reader for n, reader in opened if isinstance(reader, SampleReader)}
        # Of each worker its process id, and number of reader and index of the sample it is at, in
        # memory that all share.
        self._at = torch.full((workers, 3), _IDLE, dtype=torch.int64).share_memory_()
        with _no_advice():
            return DataLoader(
                _WorkerSide(self._readers, self._at),  # type: ignore[arg-type]
                batch_sampler=self._requests,  # type: ignore[arg-type]
                collate_fn=_as_it_is,  # type: ignore[arg-type]
                num_workers=workers,
                worker_init_fn=_start_worker,
                persistent_workers=True,
                prefetch_factor=2,
                pin_memory=pin_memory,
                # Starting workers draws a number, and must not move the run's random state.
                generator=torch.Generator(),
                timeout=min(self._timeout_s, _LOOK_EVERY_S),
                # Fork is quick and shares the cache; workers never use CUDA.
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )

    def _next(self, iterator: Any) -> Any:
        """The next answer; looks every few seconds whether the workers still live."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return next(iterator)
            except (RuntimeError, OSError, EOFError) as error:
                # A batch that was read is fetched from its worker, which may have died since.
                dead = _dead(iterator._workers)  # noqa: SLF001
                if not dead and "DataLoader timed out" not in str(error):
                    raise
                if not dead and time.monotonic() < deadline:
                    continue
                failure = self._explain(dead)
                self._kill(iterator._workers)  # noqa: SLF001
                raise failure from error

    def _explain(self, dead: Sequence[BaseProcess]) -> DataError:
        """Which sample the workers that died, or all that hang, were at."""
        pids = {worker.pid for worker in dead}
        at = [
            self._readers[number].describe(index)
            for pid, number, index in self._at.tolist()
            if index != _IDLE and (not dead or pid in pids)
        ]
        where = f" while reading {' or '.join(at)}" if at else ""
        if not dead:
            return DataError(
                f"a loader process gave no batch for {self._timeout_s:g} s{where}",
                "Check that the file and its disk can be read.",
            )
        return DataError(
            f"a loader process died{where} ({_end_of(dead[0])})",
            "It may have run out of memory (or of /dev/shm, in a container): try fewer workers.",
        )

    def _kill(self, workers: Sequence[BaseProcess]) -> None:
        """A hung worker does not hear a polite request to end."""
        for worker in workers:
            if worker.is_alive():
                worker.kill()
            worker.join(_CLOSE_TIMEOUT_S)
        self.close()


class _Requests:
    """The current plan and the number of its reader, as a ``DataLoader`` wants them."""

    number = 0
    plan: Sequence[Sequence[SampleKey]] = ()

    def __iter__(self) -> Iterator[Request]:
        return zip(repeat(self.number), self.plan, strict=False)

    def __len__(self) -> int:
        return len(self.plan)


class _WorkerSide:
    """What runs in a worker: notes the sample that it is at, and returns errors as values."""

    def __init__(self, readers: Mapping[int, SampleReader], at: torch.Tensor) -> None:
        self._readers = readers
        self._at = at

    def __getitems__(self, request: Request) -> Batch | ZooError:
        worker = get_worker_info()
        assert worker is not None  # noqa: S101
        place = self._at[worker.id]
        place[_PID] = os.getpid()
        place[_READER], keys = request
        reader = self._readers[request[0]]
        samples = []
        try:
            for key in keys:
                place[_INDEX] = key.index
                samples.append(reader.read_one(key))
            return reader.stack(samples, keys)
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


def _keep_silent(iterator: Any) -> None:
    """Do not let a worker's death raise wherever the main process happens to be: we look."""
    if iterator._worker_pids_set:  # noqa: SLF001
        signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]  # noqa: SLF001
        iterator._worker_pids_set = False  # noqa: SLF001


def _dead(workers: Sequence[BaseProcess]) -> list[BaseProcess]:
    """Those that have ended; one that is just ending is waited for.

    A process that is killed closes its files, the sentinel among them, before it counts as dead.
    """
    ended = wait([worker.sentinel for worker in workers], timeout=_ENDING_S)
    for worker in workers:
        if worker.sentinel in ended:
            worker.join(_CLOSE_TIMEOUT_S)
    return [worker for worker in workers if not worker.is_alive()]


def _end_of(worker: BaseProcess) -> str:
    """How a process ended: "SIGKILL", "exit code 3"."""
    code = worker.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _as_it_is(batch: Batch | ZooError) -> Batch | ZooError:
    return batch


def _start_worker(_: int) -> None:
    """Torch has one thread here already; what Ctrl-C means, the main process decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
