"""What a trainer is fed: loaders, plans and transforms of the splits of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from zoo.data.datasets import Dataset, Source
from zoo.data.loading import Loader, epoch_batches, evaluation_batches
from zoo.distributed import rank, world_size
from zoo.errors import ConfigError
from zoo.evaluation import evaluate
from zoo.memory import MicroBatchSize
from zoo.tasks import Task
from zoo.training import TrainingData
from zoo.workflows._plan import RunPlan

_EVALUATION_BATCHES = 2
"""An evaluation keeps no activations, so that so many times the images of a pass fit."""


class Feed:
    """Loaders of the train and val splits, which share their workers; ``close`` ends these."""

    def __init__(self, plan: RunPlan, source: Source, task: Task, *, device: torch.device) -> None:
        self._config, self._source, self._task = plan.config, source, task
        self._transforms = {
            split: task.transforms(
                split, plan.input, seed=plan.config.training.seed, **plan.transforms
            )
            for split in ("train", "val")
        }
        self._device = device
        train = self._loader("train", workers=plan.config.data.workers)
        self._loaders = {"train": train, "val": self._loader("val", workers=train)}

    def training(self) -> TrainingData:
        """The train split, in the order of each epoch."""
        data, training = self._config.data, self._config.training
        split = self._source.splits["train"]
        weights = class_balance(split) if data.sampling == "balanced" else None
        padded = self._transforms["train"].fill is not None
        ratios = width_ratios(split) if data.group_by_ratio and padded else None
        return TrainingData(
            images=len(split),
            loader=self._loaders["train"],
            plan=lambda epoch: epoch_batches(
                len(split),
                seed=training.seed,
                epoch=epoch,
                batch_size=training.batch_size,
                repeats=data.repeats,
                weights=weights,
                ratios=ratios,
                rank=rank(),
                world=world_size(),
                least_per_rank=self._task.least_images,
                pairs=self._task.least_images > 1,
            ),
            transform=self._transforms["train"].batch,
        )

    def validation(
        self, device: torch.device
    ) -> Callable[[nn.Module, Callable[[int, int], None], MicroBatchSize], Mapping[str, float]]:
        """A function that scores a model on the val split."""
        split, training = self._source.splits["val"], self._config.training
        at_once = world_size() * (training.micro_batch_size or training.batch_size)
        plan = evaluation_batches(
            len(split),
            batch_size=_EVALUATION_BATCHES * min(training.batch_size, at_once),
            rank=rank(),
            world=world_size(),
        )

        def validate(
            model: nn.Module, progress: Callable[[int, int], None], micro_batch: MicroBatchSize
        ) -> Mapping[str, float]:
            return evaluate(
                model,
                self._task,
                self._loaders["val"],
                plan,
                dataset=split,
                transforms=self._transforms["val"],
                device=device,
                precision=self._config.machine.precision,
                micro_batch=micro_batch,
                progress=progress,
            )

        return validate

    def _loader(self, split: str, *, workers: int | Loader | None) -> Loader:
        return Loader(
            self._source.splits[split],
            self._transforms[split].sample,
            workers=workers,
            device=self._device,
            cache=self._config.data.cache,
            fill=self._transforms[split].fill,
        )

    def close(self) -> None:
        """End the workers."""
        for loader in self._loaders.values():
            loader.close()


def width_ratios(split: Dataset) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """Width by height of each image; None where the data do not know it."""
    sizes = getattr(split, "sizes_px", None)
    if sizes is None:
        return None
    height, width = np.maximum(np.asarray(sizes, dtype=np.float64), 1.0).T
    ratios: np.ndarray[tuple[int], np.dtype[np.float64]] = width / height
    return ratios


def class_balance(split: Dataset) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A weight for each image that makes every class equally likely.

    Raises:
        ConfigError: the split's images have no single label each.
    """
    targets = getattr(split, "targets", {})
    labels = np.asarray(targets.get("labels", ()))
    if labels.ndim != 1 or len(labels) != len(split):
        raise ConfigError("data.sampling = balanced needs data with a label for each image")
    counts = np.bincount(labels)
    weights: np.ndarray[tuple[int], np.dtype[np.float64]] = 1.0 / counts[labels]
    return weights
