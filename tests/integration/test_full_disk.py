"""A disk that is full or cannot be written: exit 74, the path and the space, a run that goes on."""

import resource
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zoo.checkpoint import latest_checkpoint

WORDS = shlex.split(
    "train resnet20 --batch-size 4 --image-size 16 --workers 0 --device cpu --precision fp32"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos", "train", "val")


@contextmanager
def no_file_above(size_bytes: int) -> Iterator[None]:
    """What a full disk or a quota does, done to this process by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails, and not we
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_to_go_on_from(
    zoo, photos, tmp_path
) -> None:
    run = tmp_path / "run"
    words = (*WORDS, "--data", photos, "--set", "schedule.name=constant", "--output", run)
    assert zoo(*words, "--epochs", 1).code == 0
    best = contents(run / "best")

    with no_file_above(100_000):
        full = zoo("train", "--resume", run, "--epochs", 3)

    assert (full.code, full.out) == (74, "")
    assert f"cannot write {run}" in full.err
    assert "MB needed, " in full.err
    assert "Traceback" not in full.err
    newest = latest_checkpoint(run / "checkpoints", warn=pytest.fail)
    assert newest is not None
    assert newest.step == 3
    assert contents(run / "best") == best
    assert zoo("train", "--resume", run).code == 0
    assert "step-9" in {path.name for path in (run / "checkpoints").iterdir()}


def test_a_disk_that_is_full_from_the_start_is_told(zoo, photos, tmp_path) -> None:
    with no_file_above(10):
        outcome = zoo(*WORDS, "--data", photos, "--max-steps", 1, "--output", tmp_path / "run")

    assert (outcome.code, outcome.out) == (74, "")
    assert f"cannot write {tmp_path / 'run'}" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can write")
def test_a_place_where_nothing_can_be_written_is_told(zoo, photos) -> None:
    outcome = zoo(*WORDS, "--data", photos, "--max-steps", 1, "--output", "/proc/zoo-run")

    assert (outcome.code, outcome.out) == (74, "")
    assert "cannot write /proc/zoo-run" in outcome.err


def test_no_home_and_no_cache_are_needed(zoo, photos, tmp_path, monkeypatch) -> None:
    for name in ("ZOO_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/proc/nowhere")

    outcome = zoo(*WORDS, "--data", photos, "--max-steps", 1, "--output", tmp_path / "run")

    assert outcome.code == 0, outcome.err
    assert zoo("predict", tmp_path / "run", photos / "val/red/0.jpg").code == 0
