"""A task with data and a model for it: what tasks and metrics are tested in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import nn

from zoo.cards import InputSpec, ModelCard
from zoo.models import build_model
from zoo_testkit._contract import Case, Contract, does_not_apply
from zoo_testkit._material import Material, gather_material, seeded, smallest_model

if TYPE_CHECKING:
    from zoo.registry import Entry
    from zoo.structures import Batch, Step


class Scene(Case):
    """Whatever belongs to a task, with the task itself, data, and a model."""

    @property
    def settings(self) -> type[SceneContract]:
        """The contract class, which holds them."""
        return cast("type[SceneContract]", self.contract)

    @property
    def task_name(self) -> str:
        """Of the task that this is about."""
        raise NotImplementedError

    @cached_property
    def model_entry(self) -> Entry | None:
        """The registered model; None where the class builds one itself."""
        if callable(self.settings.model):
            return None
        if self.settings.model is not None:
            return self.registry.get("model", self.settings.model)
        entry = smallest_model(self.registry, self.task_name)
        if entry is None:
            does_not_apply(f"no model that is installed has the task {self.task_name!r}")
        return entry

    @cached_property
    def material(self) -> Material:
        """The task and its data, in the size that the data ask for."""
        entry = self.model_entry
        return gather_material(
            self.registry,
            self.task_name,
            spec=cast("ModelCard", entry.card).input if entry else InputSpec(),
            dataset=self.settings.dataset,
            size_px=self.settings.image_size,
        )

    @cached_property
    def model(self) -> nn.Module:
        """A fresh model, in evaluation mode."""
        build, entry = self.settings.model, self.model_entry
        numbers = {
            "num_classes": self.material.task.num_classes,
            "in_channels": self.material.spec.channels,
        }
        with seeded():
            if entry is not None:
                return build_model(entry.full_name, registry=self.registry, **numbers).eval()
            return cast("Callable[..., nn.Module]", build)(**numbers).eval()

    @cached_property
    def batch(self) -> Batch:
        """Images to score, with targets."""
        return self.material.batch(self.settings.batch_size, split="val")

    def step(self, batch: Batch) -> Step:
        """The task's step in evaluation."""
        with torch.no_grad(), seeded():
            return self.material.task.step(self.model, batch)


class SceneContract(Contract[Scene]):
    """Settings of a contract that needs a task, data and a model.

    Attributes:
        model: a name, or a function that builds one (as a card's factory does); default: the
            smallest that is installed.
        dataset: as ``--data`` takes it; default: the task's own.
        image_size: height and width in px; default: what the data set asks for.
        batch_size: images of the batch.
    """

    model: ClassVar[str | Callable[..., nn.Module] | None] = None
    dataset: ClassVar[str | None] = None
    image_size: ClassVar[int | None] = None
    batch_size: ClassVar[int] = 12
