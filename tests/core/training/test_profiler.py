"""A profile says where the time went, and changes nothing else."""

from __future__ import annotations

import gzip
import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import StoppedError
from zoo.reporting import Profile, Profiler, _profiler
from zoo.reporting._profile import PHASES
from zoo.training import Callback, Progress, Trainer
from zoo.training._snapshot import capture

Build = Callable[..., Trainer]

EVERYTHING: dict[str, Any] = {
    "training": {"epochs": 4, "save_every": 3, "log_every": 2, "ema": {"decay": 0.9}}
}
"""16 steps in which each phase occurs, with warm-up and trace enough to measure 4."""


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes between any two looks at the clock."""
    monkeypatch.setattr(_profiler, "perf_counter", itertools.count().__next__)


def run(build: Build, folder: Path, steps: int, **training: Any) -> tuple[Trainer, Profiler, str]:
    said: list[str] = []
    profiler = Profiler(steps, folder / "profile", said.append)
    settings = {"training": {**EVERYTHING["training"], **training}}
    trainer = build(settings, folder=folder, callbacks=[profiler])
    trainer.fit()
    return trainer, profiler, "\n".join(said)


def attributes(trainer: Trainer) -> list[set[str]]:
    """The names that a trainer and its parts have of their own."""
    parts = (trainer.running, trainer.optimizer, trainer.guard, trainer.ema, trainer._module)
    return [set(vars(part)) for part in (trainer, *parts)]


def test_a_profiled_run_computes_the_same(build: Build, folder: Path, tmp_path: Path) -> None:
    plain = build(EVERYTHING)
    plain.fit()

    profiled, _, _ = run(build, folder, 4)

    torch.testing.assert_close(capture(profiled)[0], capture(plain)[0], rtol=0, atol=0)


def test_every_phase_is_measured(build: Build, folder: Path) -> None:
    _, profiler, said = run(build, folder, 4)

    assert profiler.profile is not None
    assert profiler.profile.steps == 4
    assert profiler.profile.ms_per_step.keys() == PHASES.keys()
    assert all(ms > 0 for ms in profiler.profile.ms_per_step.values())
    assert [line.split()[0] for line in said.splitlines()[2:-2]] == [*PHASES, "step"]


def test_the_trace_is_for_the_usual_viewers_and_shows_the_phases(
    build: Build, folder: Path
) -> None:
    _, profiler, said = run(build, folder, 4)

    assert profiler.profile is not None
    assert profiler.profile.trace == folder / "profile" / "trace.json.gz"
    assert str(profiler.profile.trace) in said
    events = json.loads(gzip.decompress(profiler.profile.trace.read_bytes()))["traceEvents"]
    assert {"data", "forward", "backward", "optimizer"} <= {event.get("name") for event in events}


def test_nothing_is_marked_any_more_afterwards(build: Build, folder: Path) -> None:
    trainer, _, _ = run(build, folder, 4)

    untouched = build(EVERYTHING)
    assert attributes(trainer) == attributes(untouched)
    assert type(trainer._data.transform) is type(untouched._data.transform)


def test_times_add_up_to_the_clock(tick: None) -> None:
    clock = _profiler._PhaseClock(torch.device("cpu"))

    clock.start()
    with clock.phase("backward"), clock.phase("forward"):
        pass

    assert clock.read() == {"other": 1 + 1, "backward": 1 + 1, "forward": 1}


@pytest.mark.parametrize(
    ("max_steps", "steps", "traced"), [(6, 1, False), (7, 2, False), (9, 4, False), (12, 4, True)]
)
def test_a_run_that_ends_early_tells_what_there_is(
    build: Build, folder: Path, max_steps: int, steps: int, traced: bool
) -> None:
    trainer, profiler, said = run(build, folder, 4, max_steps=max_steps)

    assert profiler.profile is not None
    assert profiler.profile.steps == steps
    assert f"of {steps} step" in said
    assert (folder / "profile").exists() == traced
    assert ("trace of the steps" in said) == traced
    assert "_prepare" not in vars(trainer)


def test_a_run_within_the_warm_up_has_no_profile(build: Build, folder: Path) -> None:
    trainer, profiler, said = run(build, folder, 4, max_steps=5)

    assert profiler.profile is None
    assert said == "nothing to profile: the run ended in the 5 steps of the warm-up"
    assert "_prepare" not in vars(trainer)


class Stopping(Callback):
    """A signal comes in the seventh step."""

    def on_step_end(self, trainer: Trainer, progress: Progress) -> None:
        if progress.step == 7:
            signal.raise_signal(signal.SIGTERM)


def test_a_run_that_is_stopped_tells_what_there_is(build: Build, folder: Path) -> None:
    said: list[str] = []
    profiler = Profiler(4, folder / "profile", said.append)
    trainer = build(EVERYTHING, folder=folder, callbacks=[Stopping(), profiler])

    with pytest.raises(StoppedError), profiler:
        trainer.fit()

    assert said[0] == "where the time of 2 steps went"
    assert "_prepare" not in vars(trainer)


def test_a_run_that_never_began_tells_nothing(folder: Path) -> None:
    said: list[str] = []

    with pytest.raises(ZeroDivisionError), Profiler(4, folder / "profile", said.append):
        raise ZeroDivisionError

    assert said == []


@pytest.mark.parametrize(
    ("times", "advice"),
    [
        ({"data": 6.0, "forward": 2.0, "backward": 2.0}, "60 % is waiting for data"),
        ({"data": 3.0, "forward": 2.0, "backward": 5.0}, "70 % is the model"),
        ({"copy": 3.0, "transforms": 3.0, "forward": 4.0}, "60 % is the way of a batch"),
        ({"optimizer": 6.0, "forward": 4.0}, "60 % is the update"),
        ({"metrics": 2.0, "other": 4.0, "forward": 4.0}, "60 % is beside the work"),
        ({"evaluation": 6.0, "forward": 4.0}, "60 % is evaluation"),
        ({"checkpoint": 6.0, "forward": 4.0}, "60 % is checkpoints"),
    ],
)
def test_what_takes_most_is_named_with_its_cure(times: dict[str, float], advice: str) -> None:
    lines = Profile(10, times).lines()

    assert lines[-1].startswith(advice)
    assert "10.00   100 %" in lines[-2]
