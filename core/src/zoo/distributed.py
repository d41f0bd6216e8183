"""Several processes as one run: a thin layer on torch.distributed.

One process needs none of it: every function here then returns at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import IO, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.errors import ConfigError, StoppedError
from zoo.wording import counted

T = TypeVar("T")

_FAILED_RANK_GRACE_S = 15.0
"""How long the others may take to end by themselves after one process has failed."""


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if _active() else 0


def world_size() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if _active() else 1


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes, not for their devices."""
    if _active():
        dist.barrier(group=_host_group())


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum over all processes, in every process; in place."""
    if _active():
        dist.all_reduce(tensor)
    return tensor


def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers of rank 0: batch norm's statistics, which each has its own of.

    As DDP does before each training pass, so that rank 0 saves what all have scored.
    """
    if _active():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def gather_objects(value: Any) -> list[Any]:
    """Every process's value, by rank, in every process."""
    if not _active():
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value, group=_host_group())
    return gathered


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, by rank; their numbers may differ."""
    if not _active():
        return rows
    return torch.cat([part.to(rows.device) for part in gather_objects(rows.cpu())])


def from_main(value: Any) -> Any:
    """What rank 0 has, in every process."""
    if not _active():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, group=_host_group())
    return box[0]


def on_main(function: Callable[[], T]) -> T:
    """What ``function`` gives on rank 0, in every process; what it raises, too.

    So that no process waits for one that has failed.
    """
    if not _active():
        return function()
    value: T | None = None
    failure: Exception | None = None
    if is_main():
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - it is raised again, everywhere
            failure = error
    value, failure = from_main((value, failure))
    if failure is not None:
        raise failure
    return cast("T", value)


class Agreement:
    """A number on which all processes agree once a step: the greatest that any of them has said.

    The exchange of one step runs behind the next, so that nobody waits; all processes hear the
    answer at the same step.
    """

    def __init__(self) -> None:
        self._alone = world_size() == 1
        self._pending: tuple[Tensor, Any] | None = None

    def exchange(self, value: int) -> int:
        """Say ``value`` and hear the answer of the step before (of this one, if alone)."""
        if self._alone:
            return value
        answer = self.settle()
        tensor = torch.tensor([value])
        work = dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=_host_group(), async_op=True)
        self._pending = (tensor, work)
        return answer

    def settle(self) -> int:
        """Wait for the exchange under way, if any, and hear its answer."""
        if self._pending is None:
            return 0
        tensor, work = self._pending
        work.wait()
        self._pending = None
        return int(tensor)


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the run that the environment describes (torchrun's variables), if it does.

    Yields:
        The device of this process.

    Raises:
        ConfigError: there is no GPU for this process.
    """
    if not is_launched():
        yield device
        return
    if device.type == "cuda":
        device = _own_gpu()
        torch.cuda.set_device(device)
    # DDP loads it.  Its functions have the group, if there already is one, as a default argument,
    # and would hold it for ever.
    import_module("torch.distributed.nn.functional")

    backend = "nccl" if device.type == "cuda" else "gloo"
    with _stdout_to_stderr():
        dist.init_process_group(backend, timeout=timedelta(minutes=10))
    failed = False
    try:
        yield device
    except StoppedError:  # all of them stop
        raise
    except BaseException:
        failed = True
        raise
    finally:
        _let_go_of_groups()
        # NCCL would wait for the others, who wait for this process: its end, which the command
        # line sees to, is what ends them.
        if not failed or backend != "nccl":
            dist.destroy_process_group()


def _own_gpu() -> torch.device:
    """The GPU with this process's number on its machine."""
    number, there_are = os.environ.get("LOCAL_RANK", ""), torch.cuda.device_count()
    if not number.isdecimal():
        raise ConfigError(
            "this is one of several processes (WORLD_SIZE), and LOCAL_RANK does not say which GPU"
            " is its own",
            "Start them with `zoo train --gpus N` or torchrun, which set it.",
        )
    if int(number) >= there_are:
        raise ConfigError(
            f"process {number} of this machine (LOCAL_RANK) sees {counted(there_are, 'GPU')}",
            "Start no more processes than GPUs, and let CUDA_VISIBLE_DEVICES name all of them.",
        )
    return torch.device("cuda", int(number))


def data_parallel(module: nn.Module, device: torch.device) -> nn.Module:
    """The module as it is, or under DDP, until the run is left, where it has several processes."""
    if not _active():
        return module
    ids = [device] if device.type == "cuda" else None
    wrapper = DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
    _wrappers.append(wrapper)
    return wrapper


def is_launched() -> bool:
    """Whether torchrun, or ``launch``, has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main_process() -> bool:
    """Whether this process is, or will be, rank 0; also before and after the run is joined."""
    return os.environ.get("RANK", "0") == "0"


def launch(command: Sequence[str], processes: int, *, stdout: IO[str] | None = None) -> int:
    """Run a command in several processes on this machine, as one run.

    SIGINT and SIGTERM go to all of them.  When one fails, the others are ended after a grace.

    Args:
        command: without the interpreter: ``["-m", "zoo.cli", "train", ...]``.
        stdout: of the processes; default: this one's.

    Returns:
        The exit code of the first process that failed, else 0.
    """
    # We keep the place where they meet, as torchrun does: a port that is only looked up can be
    # another's before rank 0 opens it, and a place that rank 0 keeps ends when rank 0 does.
    meeting = dist.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", 0, is_master=True, wait_for_workers=False
    )
    children: list[subprocess.Popen[bytes]] = []
    with _signals_passed_on(children):
        for number in range(processes):
            environment = os.environ | launch_environment(number, processes, meeting.port)
            children.append(
                subprocess.Popen(  # noqa: S603
                    [sys.executable, *command], env=environment, stdout=stdout
                )
            )
        return _first_failure(children)


def launch_environment(number: int, processes: int, port: int) -> dict[str, str]:
    """What tells a process that it is one of several, which, and where they meet."""
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # There is a store at that place: no process has to open one.
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


@contextmanager
def _signals_passed_on(children: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """From before the first child starts until the last has ended: none is left behind."""

    def forward(number: int, _frame: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
        for number, old in before.items():
            signal.signal(number, old)


def _first_failure(children: list[subprocess.Popen[bytes]]) -> int:
    code, deadline = 0, float("inf")
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        code = next((child.returncode for child in children if child.returncode), 0)
        if code and deadline == float("inf"):
            deadline = time.monotonic() + _FAILED_RANK_GRACE_S
        time.sleep(0.05)
    return code or next((child.returncode for child in children if child.returncode), 0)


_host_groups: list[Any] = []
_wrappers: list[DistributedDataParallel] = []


def _let_go_of_groups() -> None:
    """Drop what holds a group, whoever holds that, so that its threads end when it is destroyed.

    A thread of gloo that is still about to drop a tensor when Python ends aborts the process
    (https://github.com/pytorch/pytorch/issues/190489).
    """
    _host_groups.clear()
    for wrapper in _wrappers:
        vars(wrapper).clear()
    _wrappers.clear()


def _host_group() -> Any:
    """A gloo group for what the host has to say; the default one where that is gloo."""
    if dist.get_backend() == "gloo":
        return None if not _host_groups else _host_groups[0]
    if not _host_groups:
        with _stdout_to_stderr():
            _host_groups.append(dist.new_group(backend="gloo"))
    return _host_groups[0]


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Gloo, as torch 2.9 has it, prints its connections on stdout, where answers belong."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _active() -> bool:
    return dist.is_available() and dist.is_initialized()
