"""A run that was cut anywhere and resumed is the unbroken run, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.checkpoint import Checkpoint, latest_checkpoint, load_best
from zoo.errors import StoppedError
from zoo.reporting import JsonLines
from zoo.training import Callback, Trainer

# From Python 3.12 on; a child does not wait for any thread of its parent.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

Build = Callable[..., Trainer]
Restore = Callable[[Trainer, Path], Trainer]

SETTINGS: dict[str, Any] = {
    "training": {
        "epochs": 5,
        "save_every": 3,
        "log_every": 2,
        "ema": {"decay": 0.9, "every_steps": 2},
    },
    "optimizer": {"name": "adamw", "learning_rate": 1e-4},
    "schedule": {"name": "plateau", "patience": 1, "factor": 0.5},
}
"""Something of everything that a checkpoint must hold; the model has batch norm and dropout."""


class Stop(Callback):
    """Sends this process a signal when a step is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def outcome(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Tensor], list[str]]:
    """Final state, its values but for time, the best weights, and the log but for time."""
    newest = latest_checkpoint(folder / "checkpoints", warn=pytest.fail)
    assert newest is not None
    values = {**newest.values, "callbacks": {}}
    values["state"] = {**newest.values["state"], "elapsed_s": 0}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    log = [line.split('"timing"')[0] for line in lines]
    return newest.tensors, values, load_best(folder / "best").tensors, log


def assert_same(folder: Path, reference: Path) -> None:
    tensors, values, best, log = outcome(folder)
    expected_tensors, expected_values, expected_best, expected_log = outcome(reference)
    assert log == expected_log
    assert values == expected_values
    torch.testing.assert_close(tensors, expected_tensors, rtol=0, atol=0)
    torch.testing.assert_close(best, expected_best, rtol=0, atol=0)


def run(build: Build, folder: Path, *callbacks: Callback, settings: Any = SETTINGS) -> Trainer:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    log = JsonLines(folder / "metrics.jsonl")
    return build(settings, folder=folder, callbacks=[log, *callbacks], mixup=0.2)


def resume(build: Build, restore: Restore, folder: Path, *callbacks: Callback) -> Trainer:
    """The run as another process would go on with it: everything built anew, then restored."""
    return restore(run(build, folder, *callbacks), folder)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, build: Build) -> Path:
    """The unbroken run; its best comes early, so that forgetting it shows."""
    folder = tmp_path_factory.mktemp("reference")
    assert run(build, folder).fit().best_epoch == 1
    return folder


@pytest.mark.parametrize("step", [1, 3, 4, 5, 8, 11, 12, 17, 19])
def test_a_run_stopped_by_a_signal_resumes_exactly(
    build: Build, restore: Restore, reference: Path, folder: Path, step: int
) -> None:
    with pytest.raises(StoppedError):
        run(build, folder, Stop(step)).fit()
    stopped_at = latest_checkpoint(folder / "checkpoints", warn=pytest.fail)

    resume(build, restore, folder).fit()

    assert stopped_at is not None
    assert stopped_at.step == step
    assert_same(folder, reference)


def test_a_signal_during_the_evaluation_repeats_the_evaluation_on_resume(
    build: Build, restore: Restore, reference: Path, folder: Path
) -> None:
    class StopInEvaluation(Callback):
        def on_evaluation_progress(self, trainer: Trainer, done: int, total: int) -> None:
            if trainer.state.epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        run(build, folder, StopInEvaluation()).fit()

    resume(build, restore, folder).fit()

    assert_same(folder, reference)


def test_a_second_ctrl_c_ends_at_once(build: Build, folder: Path) -> None:
    class Impatient(Callback):
        def on_step_end(self, trainer: Trainer, progress: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(build, folder, Impatient()).fit()

    assert list((folder / "checkpoints").iterdir()) == []


def test_the_signal_handlers_are_given_back(build: Build, folder: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    run(build, folder).fit()

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_finished_run_resumes_to_its_own_end(
    build: Build, restore: Restore, reference: Path, recorder: Any
) -> None:
    trainer = restore(run(build, reference, recorder), reference)

    result = trainer.fit()

    assert (result.reason, result.steps) == ("finished", 20)
    assert {"val/loss", "train/top1"} <= set(result.metrics)
    assert recorder.rates == []


def test_more_epochs_go_on_as_one_longer_run(
    build: Build, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    longer = {**SETTINGS, "training": {**SETTINGS["training"], "epochs": 8}}
    whole = tmp_path / "whole"
    run(build, whole, settings=longer).fit()
    run(build, folder).fit()

    restore(run(build, folder, settings=longer), folder).fit()

    assert_same(folder, whole)


def test_a_time_limit_in_the_middle_of_an_epoch_can_be_lifted(
    build: Build, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "schedule": {"name": "constant"}}  # which hears no evaluation
    limited = {**settings, "training": {**SETTINGS["training"], "time_limit_s": 1e-9}}
    whole = run(build, tmp_path / "whole", settings=settings)
    whole.fit()
    first = run(build, folder, settings=limited).fit()

    trainer = restore(run(build, folder, settings=settings), folder)
    result = trainer.fit()

    assert (first.reason, first.steps) == ("time_limit", 1)
    assert (result.reason, result.steps) == ("finished", 20)
    torch.testing.assert_close(trainer.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "item",
    ["model", "ema", "optimizer", "sums", "random", "state.step", "state.best", "schedule",
     "state.waited", "callbacks"],
)  # fmt: skip
def test_no_item_of_the_state_can_be_left_out(
    build: Build, reference: Path, folder: Path, item: str
) -> None:
    """With any one item dropped from what is restored, the run must come out different."""
    with pytest.raises(StoppedError):
        run(build, folder, Stop(14)).fit()
    newest = latest_checkpoint(folder / "checkpoints", warn=pytest.fail)
    assert newest is not None
    trainer = run(build, folder)

    trainer.restore(without(newest, item, fresh=trainer))
    trainer.fit()

    with pytest.raises(AssertionError):
        assert_same(folder, reference)


def without(checkpoint: Checkpoint, item: str, *, fresh: Trainer) -> Checkpoint:
    """The checkpoint with one item as a new run would have it."""
    from zoo.training._snapshot import capture

    tensors, values = capture(fresh)
    mixed = {name: t for name, t in checkpoint.tensors.items() if not name.startswith(f"{item}/")}
    mixed |= {name: t for name, t in tensors.items() if name.startswith(f"{item}/")}
    merged = {**checkpoint.values}
    section, _, key = item.partition(".")
    if key:
        merged[section] = {**checkpoint.values[section], key: values[section][key]}
    elif section in values:
        merged[section] = values[section]
    return Checkpoint(step=checkpoint.step, tensors=mixed, values=merged, path=checkpoint.path)


class Kill(Callback):
    """Ends this process with SIGKILL somewhere in or after a step: computing, saving, scoring."""

    def __init__(self, step: int, delay_s: float) -> None:
        self.step = step
        self.delay_s = delay_s

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step >= self.step:  # the checkpoint may be of a later step
            threading.Timer(self.delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()


@pytest.mark.parametrize("seed", range(20))
def test_kill_9_at_any_moment_changes_nothing(
    build: Build, restore: Restore, reference: Path, folder: Path, seed: int
) -> None:
    moments = random.Random(seed)

    for step in sorted(moments.sample(range(1, 20), 4)):  # 80 kills in all
        kill = Kill(step, moments.uniform(0.0, 0.02))
        child = os.fork()
        if child == 0:
            try:
                resume(build, restore, folder, kill).fit()
                os.kill(os.getpid(), signal.SIGKILL)  # the run was past the step, or quicker
            finally:
                os._exit(1)  # never on as pytest
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
    resume(build, restore, folder).fit()

    assert_same(folder, reference)
