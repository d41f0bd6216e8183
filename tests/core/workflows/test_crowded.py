"""Threads for which other programs leave no cores, and who hears of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from zoo.config import Layer
from zoo.cores import CoreTimes
from zoo.workflows import _crowded, evaluate, plan_training, run_training
from zoo.workflows._crowded import crowded_line

CPU = torch.device("cpu")
START = CoreTimes(cores=4, total_s=0.0, left_s=0.0)
Free = Callable[..., None]


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That nobody chose, on as many cores; and a second look takes no time."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_crowded, "usable_cores", lambda: 4)
    monkeypatch.setattr(_crowded.time, "sleep", lambda _: None)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Free:
    """Set the cores that others leave at each look; the last stands for all that follow."""

    def free(*cores: float | None) -> None:
        looks = list(reversed(cores))
        monkeypatch.setattr(
            _crowded, "free_cores", lambda *_: looks.pop() if len(looks) > 1 else looks[0]
        )

    return free


def test_it_says_how_many_cores_are_left_and_what_helps(free: Free) -> None:
    free(2.6)

    line = crowded_line(START, CPU, cure="--set machine.threads={}")

    assert line is not None
    assert line.startswith("other programs leave 2.6 of 4 cores to 4 threads")
    assert "--set machine.threads=2 may be several times faster" in line


def test_one_thread_is_the_least(free: Free) -> None:
    free(0.3)

    assert "OMP_NUM_THREADS=1 may" in str(crowded_line(START, CPU))


@pytest.mark.parametrize(
    "looks", [(4.0,), (3.6,), (2.0, 3.9), (None,), (2.0, None)],
    ids=["all", "nearly all", "at the second look", "unknown", "unknown at the second look"],
)  # fmt: skip
def test_nothing_is_said_where_enough_cores_are_free_or_none_can_know(
    free: Free, looks: tuple[float | None, ...]
) -> None:
    free(*looks)

    assert crowded_line(START, CPU) is None


def test_a_number_that_the_environment_sets_is_chosen(
    free: Free, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(1.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")

    assert crowded_line(START, CPU) is None


def test_one_thread_waits_for_nobody_and_a_gpu_has_none(free: Free) -> None:
    free(1.0)

    assert crowded_line(START, torch.device("cuda")) is None
    torch.set_num_threads(1)
    assert crowded_line(START, CPU) is None


def said_by_a_run(output: Path, **machine: int) -> list[str]:
    layer = {"model": {"name": "resnet20"}, "training": {"max_steps": 1}, "machine": machine}
    lines: list[str] = []
    run_training(plan_training([Layer("test", layer)]), output=output, message=lines.append)
    return [line for line in lines if line.startswith("other programs")]


def test_a_run_says_it_once_and_a_resume_that_cannot_change_it_does_not(
    tmp_path: Path, free: Free
) -> None:
    free(1.0)

    said = said_by_a_run(tmp_path / "run")

    assert len(said) == 1
    assert "--set machine.threads=1" in said[0]
    resumed: list[str] = []
    plan = plan_training(
        [Layer("test", {"training": {"time_limit_s": 60.0}})], resume=tmp_path / "run"
    )
    run_training(plan, resume=tmp_path / "run", message=resumed.append)
    assert "other programs" not in "".join(resumed)


def test_a_run_whose_threads_were_chosen_says_nothing(tmp_path: Path, free: Free) -> None:
    free(1.0)

    assert said_by_a_run(tmp_path / "run", threads=4) == []


def test_an_evaluation_says_it(tmp_path: Path, free: Free) -> None:
    free(4.0)
    said_by_a_run(tmp_path / "run")
    free(1.0)
    lines: list[str] = []

    evaluate(tmp_path / "run", message=lines.append)

    assert [line for line in lines if "OMP_NUM_THREADS=1" in line] == lines
    assert len(lines) == 1
