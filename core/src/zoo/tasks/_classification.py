"""Classification: which one of the named classes is on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from rich.cells import cell_len

from zoo.data.transforms import image_transforms
from zoo.errors import ConfigError, DataError
from zoo.metrics import Accuracy, CalibrationError, ClassScores, ConfusionMatrix, Metric
from zoo.structures import Batch, LossSum, Step
from zoo.tasks._answers import checked_logits
from zoo.tasks._class_weights import (
    balanced_weights,
    check_class_weights,
    check_settled,
    class_weights_tensor,
)
from zoo.tasks._drawing import caption, padded, shortened
from zoo.tasks._labels import class_counts, count_lines
from zoo.tasks._losses import binary_cross_entropy, cross_entropy, image_count
from zoo.tasks._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL.Image import Image
    from torch import Tensor, nn

    from zoo.cards import InputSpec
    from zoo.data.datasets import Dataset
    from zoo.data.transforms import Transforms

_WIDEST_LABEL = 24
"""Cells of a terminal that labels are padded to at most."""


class ClassificationTask(Task):
    """One label for each image.

    The model maps images (b, c, h, w) to logits (b, k).  The loss is the same in training and in
    evaluation, smoothing and class weights included, so that both curves can be compared.

    Args:
        classes: names, in the order of the labels.
        loss: "cross_entropy", or "binary_cross_entropy" as in "ResNet strikes back".
        label_smoothing: the part of every target that is spread over all classes.
        target_threshold: of binary cross-entropy: targets above it become 1, the others 0.
        class_weights: how much an image of each class counts, in the order of the labels;
            "balanced" makes every class of the training split count alike.
        top_k: how many of the likeliest classes an answer lists.

    Raises:
        ConfigError: options that contradict each other or the classes.
    """

    name = "classification"
    headline = "val/top1"
    deployed_output = "scores"
    targets = ("labels",)

    def __init__(
        self,
        *,
        classes: Sequence[str],
        loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy",
        label_smoothing: float = 0.0,
        target_threshold: float | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        top_k: int = 5,
    ) -> None:
        self.classes = tuple(classes)
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.target_threshold = target_threshold
        self.class_weights = class_weights
        self.top_k = top_k
        self._check_options()
        self._weights = class_weights_tensor(self.class_weights)

    def step(self, model: nn.Module, batch: Batch) -> Step:
        """One forward pass: the loss, and logits (b, k) as predictions."""
        logits = checked_logits(model(batch.images), batch.images, self.num_classes)
        return Step({self.loss: self._loss(logits, batch)}, logits.detach())

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        """The number of images, or the sum of their class weights."""
        return {self.loss: image_count(batch, self._weights_on(batch.images.device))}

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """For each image ``label``, ``index``, ``score`` and ``top``, a list of the same three.

        Scores are fractions of 1: softmax, or sigmoid for a network trained by binary
        cross-entropy.  Equal scores are in the order of the classes.
        """
        scores = self.deployed(model, batch.images)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.top_k]
        return [
            self._answer(indices, row)
            for indices, row in zip(order.tolist(), scores.gather(1, order).tolist(), strict=True)
        ]

    def deployed(self, model: nn.Module, images: Tensor) -> Tensor:
        """The score of each class, (b, k)."""
        logits: Tensor = model(images).float()
        return logits.softmax(1) if self._scores == "softmax" else logits.sigmoid()

    @classmethod
    def transforms_schema(cls) -> Callable[..., Transforms]:
        """``zoo.data.transforms.image_transforms``."""
        return image_transforms

    def transforms(self, split: str, spec: InputSpec, *, seed: int, **options: Any) -> Transforms:
        """``zoo.data.transforms.image_transforms``, whose keywords are the options."""
        train = split == "train"
        return image_transforms(
            train=train, spec=spec, seed=seed, num_classes=self.num_classes, **options
        )

    def metrics(self, split: str) -> Mapping[str, Metric]:
        """Top-1 for "train"; for other splits also top-5, class scores and calibration."""
        if split == "train":
            return {"accuracy": Accuracy(classes=self.classes, top=(1,))}
        return {
            "accuracy": Accuracy(classes=self.classes),
            "class-scores": ClassScores(classes=self.classes),
            "calibration-error": CalibrationError(classes=self.classes, scores=self._scores),
        }

    def draw(self, image: Image, prediction: Mapping[str, Any]) -> Image:
        """The image over a strip with its likeliest classes and their percentages."""
        lines = [f"{shortened(a['label'])} {100 * a['score']:.1f} %" for a in prediction["top"]]
        return caption(image, lines)

    def describe(self, prediction: Mapping[str, Any]) -> str:
        """The likeliest classes with their percentages, in columns of one width."""
        width = min(max(map(cell_len, self.classes), default=0), _WIDEST_LABEL)
        return "  ".join(
            f"{padded(a['label'], width)} {100 * a['score']:5.1f} %" for a in prediction["top"]
        )

    def confusion_metric(self) -> Metric:
        """A matrix of 8 k^2 bytes."""
        return ConfusionMatrix(classes=self.classes)

    def check_targets(self, splits: Mapping[str, Dataset]) -> None:
        """As every task does, and that an image has one label.

        Raises:
            DataError: it has boxes with a label each, or none.
        """
        super().check_targets(splits)
        for dataset in splits.values():
            if torch.as_tensor(dataset.load(0).targets["labels"]).ndim:
                raise DataError(
                    f"{dataset.describe(0)} has boxes with labels, and no label of its own, which"
                    " classification is learned from",
                    "Use class folders, or a detector: `zoo list --task detection`.",
                )

    def check_data(self, splits: Mapping[str, Dataset]) -> Sequence[str]:
        """Class counts and imbalance; settles what "balanced" class weights are.

        Raises:
            DataError: fewer than two classes, or a class to be balanced without training images.
        """
        if len(self.classes) < 2:
            raise DataError(
                f"the data hold one class, {self.classes[0]!r}" if self.classes else "no classes",
                "Classification needs two or more; give each class a folder of its own.",
            )
        counts = {split: class_counts(dataset) for split, dataset in splits.items()}
        if self.class_weights == "balanced" and "train" in counts:
            self.class_weights = balanced_weights(self.classes, counts["train"])
            self._weights = class_weights_tensor(self.class_weights)
        return count_lines(self.classes, counts)

    def options(self) -> dict[str, Any]:
        """The options of this task, "balanced" replaced by the weights that it came to mean."""
        return {
            "loss": self.loss,
            "label_smoothing": self.label_smoothing,
            "target_threshold": self.target_threshold,
            "class_weights": self.class_weights,
            "top_k": self.top_k,
        }

    @property
    def _scores(self) -> Literal["softmax", "sigmoid"]:
        return "softmax" if self.loss == "cross_entropy" else "sigmoid"

    def _loss(self, logits: Tensor, batch: Batch) -> LossSum:
        weights = self._weights_on(logits.device)
        if self.loss == "cross_entropy":
            return cross_entropy(logits, batch, smoothing=self.label_smoothing, weights=weights)
        return binary_cross_entropy(
            logits,
            batch,
            smoothing=self.label_smoothing,
            threshold=self.target_threshold,
            weights=weights,
        )

    def _answer(self, indices: Sequence[int], scores: Sequence[float]) -> dict[str, Any]:
        top = [
            {"label": self.classes[index], "index": index, "score": score}
            for index, score in zip(indices, scores, strict=True)
        ]
        return {**top[0], "top": top}

    def _weights_on(self, device: torch.device) -> Tensor | None:
        check_settled(self.class_weights)
        if self._weights is not None and self._weights.device != device:
            self._weights = self._weights.to(device)
        return self._weights

    def _check_options(self) -> None:
        if self.loss not in ("cross_entropy", "binary_cross_entropy"):
            raise ConfigError(
                f"task.loss: unknown loss {self.loss!r}",
                "Use cross_entropy or binary_cross_entropy.",
            )
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigError(
                f"task.label_smoothing must be at least 0 and below 1, not {self.label_smoothing}"
            )
        if self.target_threshold is not None and self.loss != "binary_cross_entropy":
            raise ConfigError("task.target_threshold belongs to task.loss = binary_cross_entropy")
        if self.top_k < 1:
            raise ConfigError(f"task.top_k must be at least 1, not {self.top_k}")
        check_class_weights(self.class_weights, self.num_classes)
