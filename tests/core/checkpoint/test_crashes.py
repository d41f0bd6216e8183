"""A save that is killed, or whose disk fails, at any of its filesystem operations."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

from zoo.checkpoint import (
    latest_checkpoint,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    step_folders,
)
from zoo.errors import StorageError

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

OPERATIONS = ("mkdir", "open", "write", "pwrite", "fsync", "replace", "rename", "unlink", "rmdir")
OLD, NEW = {"w": torch.zeros(50)}, {"w": torch.ones(50)}


def save_the_next_step(folder: Path) -> None:
    save_checkpoint(folder, 3, NEW, {"state": "new"}, keep_last=2)


def save_a_step_again(folder: Path) -> None:
    save_checkpoint(folder, 2, NEW, {"state": "new"}, keep_last=2)


def replace_the_best(folder: Path) -> None:
    save_best(folder, NEW, {"step": 3, "state": "new"})


def prepare(save, folder: Path) -> None:
    """The state before ``save``: two checkpoints, or best weights."""
    if save is replace_the_best:
        save_best(folder, OLD, {"step": 2, "state": "old"})
        return
    save_checkpoint(folder, 1, OLD, {"state": "older"}, keep_last=2)
    save_checkpoint(folder, 2, OLD, {"state": "old"}, keep_last=2)


def load(save, folder: Path):
    if save is replace_the_best:
        return load_best(folder)
    return latest_checkpoint(folder, warn=pytest.fail)


@contextlib.contextmanager
def interrupted(at, act, log=None):
    """Call ``act`` before the filesystem operation number ``at``, counted from 1."""
    count = 0
    originals = {name: getattr(os, name) for name in OPERATIONS}

    def wrap(name):
        def operation(*args, **kwargs):
            nonlocal count
            count += 1
            if log is not None:
                log.append((name, args))
            if count == at:
                act()
            return originals[name](*args, **kwargs)

        return operation

    for name in OPERATIONS:
        setattr(os, name, wrap(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def record(save) -> list[tuple[str, tuple]]:
    """The filesystem operations of a save that nothing disturbs."""
    log: list[tuple[str, tuple]] = []
    with tempfile.TemporaryDirectory() as name:
        prepare(save, Path(name) / "state")
        with interrupted(0, None, log):
            save(Path(name) / "state")
    return log


def in_child(work) -> int:
    """Run in a forked process; its exit code, 0 where the work ended by itself."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


SAVES = (save_the_next_step, save_a_step_again, replace_the_best)
POINTS = [
    pytest.param(save, at, id=f"{save.__name__}-{at}")
    for save in SAVES
    for at in range(1, len(record(save)) + 1)
]


@pytest.mark.parametrize(("save", "at"), POINTS)
def test_a_kill_before_any_operation_leaves_the_old_state_or_the_new(tmp_path, save, at):
    folder = tmp_path / "state"
    prepare(save, folder)

    def save_and_die():
        with interrupted(at, lambda: os._exit(9)):
            save(folder)

    assert in_child(save_and_die) == 9

    found = load(save, folder)
    assert (found.values["state"], found.tensors["w"].sum().item()) in {("old", 0), ("new", 50)}
    save(folder)
    assert load(save, folder).values["state"] == "new"
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(("save", "at"), POINTS)
def test_a_disk_that_fails_at_any_operation_costs_no_state(tmp_path, save, at, number):
    folder = tmp_path / "state"
    prepare(save, folder)

    def fail():
        raise OSError(number, os.strerror(number))

    with contextlib.suppress(StorageError), interrupted(at, fail):
        save(folder)

    found = load(save, folder)
    assert (found.values["state"], found.tensors["w"].sum().item()) in {("old", 0), ("new", 50)}
    save(folder)
    assert load(save, folder).values["state"] == "new"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "the disk is full .* needed, .* free"),
        (errno.EDQUOT, "the disk quota is used up .* needed, .* free"),
        (errno.EFBIG, "larger than the limit .* needed, .* free"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "input/output error"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_a_failing_disk_is_named_with_path_and_space(tmp_path, number, text):
    def fail():
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError, match=text) as error, interrupted(5, fail):
        save_the_next_step(tmp_path / "checkpoints")

    assert error.value.exit_code == 74
    assert str(tmp_path / "checkpoints" / "step-3") in error.value.cause


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    prepare(save_the_next_step, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(StorageError, match=r"the disk is full \([\d.]+ MB needed, 1\.0 kB free\)"):
        save_the_next_step(tmp_path)

    assert sorted(tmp_path.rglob("*")) == before


def test_a_limit_on_file_sizes_is_a_storage_error(tmp_path):
    def save_a_large_file():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with pytest.raises(StorageError, match="larger than the limit"):
            save_checkpoint(tmp_path, 1, {"w": torch.zeros(100_000)}, {}, keep_last=2)

    assert in_child(save_a_large_file) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of a megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a file system is not allowed here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_fills_up_on_the_way_keeps_the_last_checkpoint(small_disk, monkeypatch):
    monkeypatch.setattr("zoo.checkpoint._state.check_free_space", lambda *_: None)
    large = {"w": torch.zeros(150_000)}
    save_checkpoint(small_disk, 1, large, {}, keep_last=2)

    with pytest.raises(StorageError, match="the disk is full"):
        save_checkpoint(small_disk, 2, large, {}, keep_last=2)

    assert latest_checkpoint(small_disk, warn=pytest.fail).step == 1
    assert [path.name for path in small_disk.iterdir()] == ["step-1"]


def test_a_disk_that_gives_back_other_bytes_never_gets_a_checkpoint(tmp_path, monkeypatch):
    prepare(save_the_next_step, tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(len(data))))

    with pytest.raises(StorageError, match="input/output error"):
        save_the_next_step(tmp_path)

    monkeypatch.undo()
    assert [path.name for path in step_folders(tmp_path)] == ["step-1", "step-2"]


def test_writes_that_are_cut_short_by_the_system_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))

    folder = save_checkpoint(tmp_path, 1, NEW, {}, keep_last=2)

    assert load_checkpoint(folder).tensors["w"].sum() == 50


def test_nothing_gets_its_name_before_it_is_on_the_disk():
    log = record(save_the_next_step)

    steps = [name for name, _ in log if name in {"write", "fsync", "rename", "replace", "rmdir"}]

    assert steps == [
        *("write", "write", "fsync", "rename"),  # tensors: header and data
        *("write", "fsync", "rename"),  # values
        "fsync",  # the folder that holds both names
        *("write", "fsync", "replace", "fsync"),  # manifest, and the folder
        *("rename", "fsync"),  # the folder takes its name, in checkpoints/
        *("rename", "rmdir"),  # the oldest loses its name, then its files
    ]


def test_a_link_in_the_place_of_a_step_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-3").symlink_to(elsewhere)

    with pytest.raises(StorageError):
        save_the_next_step(tmp_path / "checkpoints")

    assert list(elsewhere.iterdir()) == []
