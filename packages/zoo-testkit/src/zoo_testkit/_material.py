"""What the contracts feed to models: batches of a task's default data, as a run would see them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from zoo.cards import ModelCard
from zoo.config import DataConfig
from zoo.data.loading import Loader, evaluation_batches
from zoo.data.sources import open_source
from zoo.errors import UnknownNameError
from zoo.training import seed_everything

if TYPE_CHECKING:
    from torch import nn

    from zoo.cards import InputSpec
    from zoo.data.datasets import Source
    from zoo.data.transforms import Transforms
    from zoo.registry import Entry, Registry
    from zoo.structures import Batch
    from zoo.tasks import Task


@dataclass(frozen=True)
class Material:
    """A task and data for it.

    Attributes:
        spec: the images that a model sees.
        options: of the task's transforms, as the data set's card asks for.
    """

    task: Task
    source: Source
    spec: InputSpec
    options: Mapping[str, Any]

    def transforms(self, split: str) -> Transforms:
        """Those of a run with the seed 0."""
        return self.task.transforms(split, self.spec, seed=0, **self.options)

    def loader(self, split: str) -> Loader:
        """Reads a split in this process."""
        sample = self.transforms(split).sample
        return Loader(self.source.splits[split], sample, workers=0, cache="none")

    def batch(self, images: int, *, split: str = "train") -> Batch:
        """The first images of a split, transformed, as the model sees them."""
        keys = evaluation_batches(min(images, len(self.source.splits[split])), batch_size=images)
        (batch,) = self.loader(split).batches(keys)
        return self.transforms(split).batch(batch)


def gather_material(
    registry: Registry,
    task: str,
    *,
    spec: InputSpec,
    dataset: str | None = None,
    size_px: int | None = None,
) -> Material:
    """Open the data of a task.

    Args:
        task: its name.
        spec: the input of the model's card.
        dataset: as ``--data`` takes it; default: the task's own.
        size_px: of the images; default: what the data set asks for, else the card's.
    """
    entry = registry.get("task", task)
    source = open_source(
        dataset or registry.default_dataset(entry).full_name,
        registry=registry,
        data=DataConfig(),
        channels=spec.channels,
        message=lambda _: None,
    )
    settings = source.card.settings if source.card else {}
    asked_px = settings.get("data", {}).get("image_size")
    built: Task = registry.load(entry)(classes=source.classes, **settings.get("task", {}))
    built.check_data(source.splits)
    spec = spec.at(size_px=size_px or asked_px)
    return Material(built, source, spec, settings.get("transforms", {}))


def smallest_model(registry: Registry, task: str) -> Entry | None:
    """The model with the fewest parameters that a task can train, or None."""
    return next(iter(models_of(registry, task)), None)


def models_of(registry: Registry, task: str) -> list[Entry]:
    """The models that a task can train, the smallest first.

    Args:
        task: its short or full name; one that nobody has trains none.
    """
    try:
        wanted = registry.get("task", task)
    except UnknownNameError:
        return []
    names = wanted.card.name, wanted.full_name
    found = [e for e in registry.entries("model") if cast("ModelCard", e.card).task in names]
    return sorted(found, key=lambda e: cast("ModelCard", e.card).num_params)


def mean_loss(task: Task, model: nn.Module, batch: Batch) -> Tensor:
    """The number that training minimises: the weighted sum of the mean losses."""
    losses = task.step(model, batch).losses
    return torch.stack([loss.weight * loss.total / loss.count for loss in losses.values()]).sum()


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Seed every random generator, and put each back afterwards."""
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    with torch.random.fork_rng(devices=[]):
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)  # noqa: NPY002
