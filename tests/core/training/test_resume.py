"""A run that was cut anywhere and resumed is the unbroken run, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo.checkpoint import Checkpoint, latest_checkpoint, load_best, load_checkpoint
from zoo.errors import StoppedError
from zoo.reporting import JsonLines
from zoo.training import Callback, Trainer

Build = Callable[..., Trainer]
Restore = Callable[[Trainer, Path], Trainer]

SETTINGS: dict[str, Any] = {
    "training": {
        "epochs": 5,
        "save_every": 3,
        "log_every": 2,
        "ema": {"decay": 0.9, "every_steps": 2},
    },
    "optimizer": {"name": "adamw", "learning_rate": 0.02},
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


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The unbroken run."""
    from conftest import build_trainer  # the module's own conftest

    folder = tmp_path_factory.mktemp("reference")
    run(build_trainer, folder).fit()
    yield folder
