"""The command line in this process, and a folder of small photos to give it."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image

from zoo.checkpoint import latest_checkpoint
from zoo.cli._main import run
from zoo.training import Callback, Trainer

COLOURS = {"blue": (20, 20, 220), "green": (20, 200, 20), "red": (220, 20, 20)}


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Zoo = Callable[..., Outcome]


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Run the words of a command line in this process."""

    def outcome(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return outcome


@pytest.fixture
def log_of() -> Callable[[Path], list[dict[str, Any]]]:
    """The lines of a run's log, without what the clock said."""

    def lines(output: Path) -> list[dict[str, Any]]:
        found = map(json.loads, (output / "metrics.jsonl").read_text().splitlines())
        return [{k: v for k, v in line.items() if k != "timing"} for line in found]

    return lines


@pytest.fixture
def state_of() -> Callable[[Path], dict[str, torch.Tensor]]:
    """The tensors of a run's newest checkpoint."""

    def tensors(output: Path) -> dict[str, torch.Tensor]:
        newest = latest_checkpoint(output / "checkpoints", warn=pytest.fail)
        assert newest is not None
        return dict(newest.tensors)

    return tensors


class FailAt(Callback):
    """The run breaks after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step == self.step:
            raise KeyboardInterrupt


@pytest.fixture
def fail_at() -> type[FailAt]:
    return FailAt


MakePhotos = Callable[..., Path]


@pytest.fixture(scope="session")
def make_photos() -> MakePhotos:
    """Make class folders of noisy photos, by split (or none) and class."""

    def make(root: Path, *splits: str, classes: tuple[str, ...] = ("blue", "red"), count: int = 6):
        noise = random.Random(0)
        for split in splits or ("",):
            for name in classes:
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    size = (noise.randrange(16, 30), noise.randrange(16, 30))
                    image = Image.effect_noise(size, 60).convert("RGB")
                    image = Image.blend(image, Image.new("RGB", size, COLOURS[name]), 0.6)
                    image.save(folder / f"{number}{'.png' if number % 2 else '.jpg'}")
        return root

    return make
