"""One process at a time: in a run folder, or at a file that several want to make.

The lock is the kernel's, on a file such as ``run.lock``: it ends with its process, even by
``kill -9``, so there is no stale lock to remove.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import RunFolderError
from zoo.runs._storage import storage_errors

_held: set[int] = set()


@contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` for the length of the block.

    Raises:
        RunFolderError: another process holds it; names its id and host.
        StorageError: the file cannot be written.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with storage_errors(path):
            _lock_or_refuse(descriptor, path)
            _held.add(descriptor)
            owner = json.dumps({"pid": os.getpid(), "host": platform.node()})
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, owner.encode(), 0)
        yield
    finally:
        _held.discard(descriptor)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def turn(path: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path`` for the length of the block, after whoever holds it now.

    Args:
        waiting: called once, where somebody does.

    Raises:
        StorageError: the file cannot be written.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _held.add(descriptor)
    try:
        with storage_errors(path):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _lock_or_refuse(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunFolderError(
            f"{path.parent} is in use by {_owner(descriptor)}",
            "Wait for it to end, stop it, or choose another folder with --output.",
        ) from None


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(owner['pid'])} on {str(owner['host'])!r}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _release_in_child() -> None:
    """A forked worker must not keep the lock when its parent was killed."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)
