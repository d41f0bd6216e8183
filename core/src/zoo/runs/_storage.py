"""Durable writes: after a crash a file is whole, old or absent, and errors name path and space.

Every write goes to a new file, is flushed to the disk, and takes its name by a rename within the
same folder, which is flushed too.  The mode of a file is what the user's umask allows.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import StorageError, UsageError

_MARGIN_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CAUSES = {
    errno.ENOSPC: ("the disk is full", "Make room there"),
    errno.EDQUOT: ("the disk quota is used up", "Make room there or raise the quota"),
    errno.EFBIG: ("the file would be larger than the limit allows", "Raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "Choose another place"),
    errno.EIO: ("the disk fails (input/output error)", "Check the disk or choose another place"),
    errno.EACCES: ("permission denied", "Change the permissions or choose another place"),
    errno.EPERM: ("operation not permitted", "Change the permissions or choose another place"),
    errno.ENOENT: ("the folder is gone", "Put it back or choose another place"),
    errno.ENOTDIR: ("a part of the path is a file", "Choose another place"),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter one"),
}


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What was written: the file's size and the SHA-256 of the bytes that were meant."""

    size_bytes: int
    sha256: str


@contextmanager
def storage_errors(path: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``StorageError`` (exit 74).

    Args:
        path: what is being written, for the message.
        needed_bytes: that the whole write takes; said where the disk is full.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        what, cure = _CAUSES.get(
            number, (error.strerror or str(error) or type(error).__name__, "Check the disk")
        )
        space = f" ({_space(path, needed_bytes)})" if number in _FULL else ""
        raise StorageError(
            f"cannot write {path}: {what}{space}",
            f"{cure}, then run the command again; a run goes on with --resume.",
        ) from error


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """Refuse a write that cannot succeed, before anything of it is written.

    Args:
        folder: where the write goes; it exists.
        needed_bytes: of all its files.

    Raises:
        StorageError: the file system has not so much room (and a megabyte for folders and names).
    """
    needed_bytes += _MARGIN_BYTES
    with storage_errors(folder, needed_bytes=needed_bytes):
        if shutil.disk_usage(folder).free < needed_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_new_file(path: Path) -> None:
    """See that a new file can be made, before work is spent on its content.

    Raises:
        UsageError: something is there already, or there is no folder that takes new files.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{path} is there already, and is not overwritten", "Name another file, or remove it."
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "Make it, or name another place.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path.parent} allows no new files", "Name another place.")


def write_new_file(path: Path, chunks: Iterable[bytes | memoryview]) -> WrittenFile:
    """Write a file that does not exist yet, read each piece back, hash it, and flush to the disk.

    Raises:
        OSError: as the system says it, or other bytes came back than were written;
            ``storage_errors`` around the whole write translates.
    """
    sha256 = hashlib.sha256()
    size_bytes = 0
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for chunk in chunks:
            sha256.update(chunk)
            _write_all(descriptor, chunk)
            if _read_all(descriptor, len(chunk), start=size_bytes) != bytes(chunk):
                raise OSError(errno.EIO, "other bytes came back than were written")
            size_bytes += len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return WrittenFile(size_bytes, sha256.hexdigest())


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write or replace a file so that a crash at any point leaves the old or the new one.

    Raises:
        StorageError: the disk is full, read-only or failing; the old file is untouched.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary = temporary_name(path)
    with storage_errors(path, needed_bytes=len(content)):
        try:
            write_new_file(temporary, [content])
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


def temporary_name(path: Path) -> Path:
    """A free name beside ``path``: the same folder, so that a rename needs no copy."""
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that names made or renamed in it survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no flush of a folder; they do it by themselves.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def format_bytes(count: int) -> str:
    """A size for people.

    >>> format_bytes(87_300_000)
    '87.3 MB'
    """
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_all(descriptor: int, length: int, *, start: int) -> bytes:
    content = os.pread(descriptor, length, start)
    while len(content) < length:
        more = os.pread(descriptor, length - len(content), start + len(content))
        if not more:
            break
        content += more
    return content


def _space(path: Path, needed_bytes: int) -> str:
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    try:
        free = f"{format_bytes(shutil.disk_usage(folder).free)} free"
    except OSError:
        free = "free space unknown"
    return f"{format_bytes(needed_bytes)} needed, {free}" if needed_bytes else free
