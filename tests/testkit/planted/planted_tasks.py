"""Tasks that break one promise each; classification itself keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from zoo.data.transforms import Transforms
from zoo.metrics import Metric
from zoo.structures import Batch, LossSum, Step
from zoo.tasks import ClassificationTask


class OtherName(ClassificationTask):
    """Has not the card's name."""

    name = "sorting"


class Undocumented(ClassificationTask):
    pass


class NoHeadline(ClassificationTask):
    """Chooses the best weights by what nobody measures."""

    headline = "val/beauty"


class _Changed(ClassificationTask):
    """A step whose loss is changed."""

    def step(self, model: nn.Module, batch: Batch) -> Step:
        step = super().step(model, batch)
        losses = {name: self.changed(loss) for name, loss in step.losses.items()}
        return Step(losses, step.predictions)

    def changed(self, loss: LossSum) -> LossSum:
        raise NotImplementedError


class Detached(_Changed):
    """A loss that no gradient comes from."""

    def changed(self, loss: LossSum) -> LossSum:
        return replace(loss, total=loss.total.detach())


class Averaging(_Changed):
    """Calls a mean a sum of one."""

    def changed(self, loss: LossSum) -> LossSum:
        return LossSum(loss.total / loss.count, 1.0)

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        return dict.fromkeys(super().loss_counts(batch), 1.0)


class Miscounting(ClassificationTask):
    """Says another count beforehand than it divides by."""

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        return {name: count + 1 for name, count in super().loss_counts(batch).items()}


class CountingPixels(_Changed):
    """Counts by what is on the images."""

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        return dict.fromkeys(super().loss_counts(batch), batch.images.any((1, 2, 3)).sum())

    def changed(self, loss: LossSum) -> LossSum:
        return loss


class Dropping(ClassificationTask):
    """Answers for all images but the last."""

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        return super().predict(model, batch)[:-1]


class Unspeakable(ClassificationTask):
    """Says of its answers what JSON cannot hold."""

    def as_json(self, prediction: Any) -> Mapping[str, Any]:
        return {"logits": torch.zeros(10)}


class DrawingOver(ClassificationTask):
    """Draws on the user's image."""

    def draw(self, image: Image, prediction: Mapping[str, Any]) -> Image:
        image.putpixel((0, 0), (255, 0, 0))
        return image.copy()


class SameKeys(ClassificationTask):
    """Two metrics that call their numbers alike."""

    def metrics(self, split: str) -> Mapping[str, Metric]:
        measured = super().metrics(split)
        return {**measured, "again": super().metrics(split)["accuracy"]}


class Drifting(ClassificationTask):
    """Builds another task of its options."""

    def options(self) -> dict[str, Any]:
        return {**super().options(), "top_k": self.top_k + 1}


class Careless(ClassificationTask):
    """Augments with whatever the global generator holds."""

    def transforms(self, split: str, spec: Any, *, seed: int, **options: Any) -> Transforms:
        transforms = super().transforms(split, spec, seed=seed, **options)
        return replace(transforms, batch=lambda batch: _brightened(transforms.batch(batch)))


def _brightened(batch: Batch) -> Batch:
    return batch.with_images(batch.images + torch.rand(()))
