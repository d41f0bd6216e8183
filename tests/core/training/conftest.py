"""A tiny model on tiny data, trained through the real trainer, loader and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.cards import InputSpec
from zoo.checkpoint import latest_checkpoint
from zoo.config import Layer, RunConfig, resolve
from zoo.data.datasets import Resident
from zoo.data.loading import Loader, epoch_batches, evaluation_batches
from zoo.evaluation import evaluate
from zoo.memory import MicroBatchSize
from zoo.runs import RunFolder
from zoo.tasks import ClassificationTask
from zoo.training import Callback, Destination, Trainer, TrainingData, seed_everything

CPU = torch.device("cpu")
CLASSES = ("dark", "light", "bright")


class TinyNet(nn.Module):
    """Convolution, batch norm and dropout: buffers and randomness in six lines."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(4, len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.norm(self.conv(images)).relu()
        logits: torch.Tensor = self.fc(self.dropout(maps.mean((2, 3))))
        return logits


def brightness_data(images: int, seed: int) -> Resident:
    """Grey images whose brightness is their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % len(CLASSES)
    noise = torch.randint(0, 60, (images, 1, 6, 6), generator=generator)
    pixels = (noise + labels[:, None, None, None] * 90).to(torch.uint8)
    return Resident(name="brightness", images=pixels, targets={"labels": labels}, classes=CLASSES)


def run_config(settings: Mapping[str, Any]) -> RunConfig:
    """A run of four epochs, and what a test wants otherwise."""
    base = {
        "model": {"name": "tiny"},
        "training": {"epochs": 4, "batch_size": 8},
        "optimizer": {"learning_rate": 0.1},
    }
    return resolve([Layer("base", base), Layer("test", settings)]).config


def build_trainer(
    settings: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    callbacks: Sequence[Callback] = (),
    model: Callable[[], nn.Module] = TinyNet,
    images: int = 28,
    precision: str = "fp32",
    mixup: float = 0.0,
) -> Trainer:
    """A trainer as the workflow assembles it; the seed of the weights is fixed."""
    config = run_config(settings or {})
    task = ClassificationTask(classes=CLASSES)
    spec = InputSpec(channels=1, size_px=6, resize_px=None, mean=(0.5,), std=(0.3,))
    train, val = brightness_data(images, seed=1), brightness_data(10, seed=2)
    transforms = {
        split: task.transforms(split, spec, seed=0, crop="none", shift=0.2, mixup=mixup)
        for split in ("train", "val")
    }
    val_loader = Loader(val, transforms["val"].sample)
    seed_everything(config.training.seed)
    network = model()

    def validate(
        scored: nn.Module, progress: Callable[[int, int], None], micro_batch: MicroBatchSize
    ) -> Mapping[str, float]:
        return evaluate(
            scored,
            task,
            val_loader,
            evaluation_batches(len(val), batch_size=4),
            dataset=val,
            transforms=transforms["val"],
            device=CPU,
            precision=precision,
            micro_batch=micro_batch,
            progress=progress,
        )

    return Trainer(
        network,
        task,
        config=config,
        data=TrainingData(
            images=images,
            loader=Loader(train, transforms["train"].sample),
            plan=lambda epoch: epoch_batches(
                images,
                seed=config.training.seed,
                epoch=epoch,
                batch_size=config.training.batch_size,
            ),
            transform=transforms["train"].batch,
        ),
        device=CPU,
        precision=precision,
        validate=validate,
        destination=folder
        and Destination(
            RunFolder(folder),
            lambda state, metrics: {"epoch": state.epoch + 1, "metrics": dict(metrics)},
        ),
        callbacks=callbacks,
    )


def restored(trainer: Trainer, folder: Path) -> Trainer:
    """The trainer with the newest checkpoint of a folder, if it has one."""
    newest = latest_checkpoint(folder / "checkpoints", warn=pytest.fail)
    if newest is not None:
        trainer.restore(newest)
    return trainer


@pytest.fixture(scope="session")
def build() -> Callable[..., Trainer]:
    return build_trainer


@pytest.fixture(scope="session")
def restore() -> Callable[[Trainer, Path], Trainer]:
    return restored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


class Recorder(Callback):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.epochs: list[dict[str, float]] = []

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        self.rates.append(progress.learning_rate)

    def on_epoch_end(self, trainer: Trainer, progress: Any, metrics: Mapping[str, float]) -> None:
        self.epochs.append(dict(metrics))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
