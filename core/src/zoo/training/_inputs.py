"""What a trainer is given: data, a place for its state, model and task as one module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from zoo.config import RunConfig
from zoo.data.loading import Loader
from zoo.data.transforms import BatchTransform
from zoo.memory import MicroBatchSize
from zoo.runs import RunFolder
from zoo.structures import Batch, SampleKey, Step
from zoo.tasks import Task
from zoo.training._state import RunState

Validate = Callable[[nn.Module, Callable[[int, int], None], MicroBatchSize], Mapping[str, float]]
"""Scores a model on the held-out split: ``validate(model, progress(done, total), micro_batch)``."""


@dataclass(frozen=True)
class TrainingData:
    """Where batches come from.

    Attributes:
        images: of an epoch, over all processes.
        plan: this process's batches of an epoch, in order, from the epoch's number (from 0).
        transform: the stage that the device runs.
    """

    images: int
    loader: Loader
    plan: Callable[[int], Sequence[Sequence[SampleKey]]]
    transform: BatchTransform


@dataclass(frozen=True)
class Destination:
    """Where a run keeps its state.

    Attributes:
        folder: of the run.
        record: the values beside the best weights, from the state and the epoch's metrics.
    """

    folder: RunFolder
    record: Callable[[RunState, Mapping[str, float]], Mapping[str, Any]]


class TaskModule(nn.Module):
    """Model and task as one module whose forward is the task's step: what DDP wraps."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batch: Batch) -> Step:
        """Losses and predictions of a batch."""
        return self.task.step(self.model, batch)


def monitored(task: Task, config: RunConfig) -> tuple[str, Literal["max", "min"]]:
    """The metric that decides which weights are best, and whether more or less of it is better."""
    name = config.training.monitor or task.headline
    key = name.rpartition("/")[2]
    falls = "loss" in name or any(key in metric.falling for metric in task.metrics("val").values())
    return name, "min" if falls else "max"
