"""A run that is reported without a trainer: its progress, and events in the right order."""

from dataclasses import dataclass, replace

import pytest

from zoo.training import FitResult, Progress


@dataclass
class FakeTrainer:
    """What a callback may ask of a trainer."""

    progress: Progress


@pytest.fixture
def start():
    """Progress of a run that has done nothing: 2 epochs of 4 steps, 8 images each."""
    return Progress(
        step=0,
        epoch=1,
        epoch_step=0,
        steps_per_epoch=4,
        total_steps=8,
        learning_rate=0.05,
        images=0,
        elapsed_s=0.0,
    )


def at_step(start, step, *, seconds_per_step=0.5):
    return replace(
        start,
        step=step,
        epoch=max(step - 1, 0) // 4 + 1,
        epoch_step=(step - 1) % 4 + 1 if step else 0,
        images=8 * step,
        elapsed_s=seconds_per_step * step,
    )


@pytest.fixture
def drive(start):
    """Plays the events of steps ``first + 1`` to ``last``: a log each 2, an epoch each 4."""

    def play(callback, *, first=0, last=8, seconds_per_step=0.5):
        trainer = FakeTrainer(at_step(start, first, seconds_per_step=seconds_per_step))
        callback.on_fit_start(trainer)
        for step in range(first + 1, last + 1):
            trainer.progress = at_step(start, step, seconds_per_step=seconds_per_step)
            callback.on_step_end(trainer, trainer.progress)
            if step % 2 == 0:
                callback.on_log(trainer, trainer.progress, {"train/loss": 1 / step})
            if step % 4 == 0:
                callback.on_evaluation_progress(trainer, 16, 16)
                callback.on_epoch_end(trainer, trainer.progress, epoch_metrics(step))
        return trainer

    return play


def epoch_metrics(step):
    return {
        "train/loss": 2 / step,
        "train/top1": 0.5,
        "val/loss": 0.25,
        "val/top1": step / 10,
        "val/top5": 1.0,
        "val/ece": 0.03125,
    }


@pytest.fixture
def result():
    return FitResult(
        reason="finished",
        steps=8,
        epochs=2,
        monitor="val/top1",
        best=0.8,
        best_epoch=2,
        metrics={"val/top1": 0.8},
        elapsed_s=4.0,
    )
