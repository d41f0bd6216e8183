"""Losses equal their references, and micro-batches add up to the loss of the whole batch."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.devices import autocast
from zoo.structures import Batch, LossSum, loss_weights
from zoo.tasks import ClassificationTask

CLASSES = ("a", "b", "c", "d")
WEIGHTS = [0.5, 1.0, 2.0, 4.0]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1},
    {"class_weights": WEIGHTS},
    {"class_weights": WEIGHTS, "label_smoothing": 0.2},
    {"loss": "binary_cross_entropy"},
    {"loss": "binary_cross_entropy", "label_smoothing": 0.1, "class_weights": WEIGHTS},
    {"loss": "binary_cross_entropy", "target_threshold": 0.2},
]


def _batch(count: int = 9, *, mixed: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 4, (count,), generator=generator)
    targets = {"labels": labels}
    if mixed:
        targets["mixed_labels"] = labels.roll(1)
        targets["mix_weight"] = torch.rand(count, generator=generator)
    images = torch.randn(count, 4, generator=generator)
    return Batch(images, torch.ones(count, 2, dtype=torch.int64), torch.arange(count), targets)


class Scale(nn.Module):
    """Logits are the images, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale


def total_loss(
    losses: Mapping[str, LossSum], counts: Mapping[str, Tensor | float] | None = None
) -> Tensor:
    """The number that is minimised."""
    counts = {name: loss.count for name, loss in losses.items()} if counts is None else counts
    weights = loss_weights(losses, counts)
    products = [loss.total * w for loss, w in zip(losses.values(), weights, strict=True)]
    return torch.stack(products).sum()


def _value(task: ClassificationTask, batch: Batch) -> Tensor:
    return total_loss(task.step(Scale(), batch).losses).detach()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_torchs(smoothing: float, weights: list[float] | None) -> None:
    batch = _batch()
    task = ClassificationTask(classes=CLASSES, label_smoothing=smoothing, class_weights=weights)

    value = _value(task, batch)

    reference = nn.CrossEntropyLoss(
        weight=None if weights is None else torch.tensor(weights), label_smoothing=smoothing
    )
    torch.testing.assert_close(value, reference(batch.images * 2, batch.targets["labels"]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_target_of_a_mixed_image_is_the_mixture_of_its_labels(smoothing: float) -> None:
    batch = _batch(mixed=True)
    task = ClassificationTask(classes=CLASSES, label_smoothing=smoothing)

    value = _value(task, batch)

    weight = batch.targets["mix_weight"][:, None]
    first, second = (functional.one_hot(batch.targets[n], 4) for n in ("labels", "mixed_labels"))
    soft = weight * first + (1 - weight) * second
    reference = nn.CrossEntropyLoss(label_smoothing=smoothing)(batch.images * 2, soft)
    torch.testing.assert_close(value, reference)


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_is_timms(smoothing: float, threshold: float | None) -> None:
    loss = pytest.importorskip("timm.loss")
    batch = _batch()
    task = ClassificationTask(
        classes=CLASSES,
        loss="binary_cross_entropy",
        label_smoothing=smoothing,
        target_threshold=threshold,
    )

    value = _value(task, batch)

    reference = loss.BinaryCrossEntropy(smoothing=smoothing, target_threshold=threshold)
    torch.testing.assert_close(value, reference(batch.images * 2, batch.targets["labels"]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("threshold", [None, 0.2])
def test_binary_cross_entropy_of_mixed_images_is_timms(
    smoothing: float, threshold: float | None
) -> None:
    mixup = pytest.importorskip("timm.data.mixup")
    loss = pytest.importorskip("timm.loss")
    batch = _batch(8, mixed=True)
    labels, weight = batch.targets["labels"], 0.7
    batch.targets["mixed_labels"] = labels.flip(0)
    batch.targets["mix_weight"] = torch.full((8,), weight)
    task = ClassificationTask(
        classes=CLASSES,
        loss="binary_cross_entropy",
        label_smoothing=smoothing,
        target_threshold=threshold,
    )

    value = _value(task, batch)

    dense = mixup.mixup_target(labels, 4, weight, smoothing)
    reference = loss.BinaryCrossEntropy(smoothing=smoothing, target_threshold=threshold)
    torch.testing.assert_close(value, reference(batch.images * 2, dense))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_counts_come_from_the_targets_alone(options: dict[str, Any], *, mixed: bool) -> None:
    batch = _batch(mixed=mixed)
    task = ClassificationTask(classes=CLASSES, **options)

    before = task.loss_counts(batch)

    losses = task.step(Scale(), batch).losses
    assert {name: float(count) for name, count in before.items()} == {
        name: float(loss.count) for name, loss in losses.items()
    }


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_micro_batches_add_up_to_the_whole_batch(
    options: dict[str, Any], size: int, *, mixed: bool
) -> None:
    batch = _batch(mixed=mixed)
    task = ClassificationTask(classes=CLASSES, **options)
    whole, parts = Scale(), Scale()
    counts = task.loss_counts(batch)

    total_loss(task.step(whole, batch).losses).backward()
    shares = [
        total_loss(task.step(parts, batch.rows(start, start + size)).losses, counts)
        for start in range(0, len(batch), size)
    ]
    torch.stack(shares).sum().backward()

    torch.testing.assert_close(torch.stack(shares).sum().detach(), _value(task, batch))
    torch.testing.assert_close(parts.scale.grad, whole.scale.grad)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("options", OPTIONS)
def test_losses_are_float32_whatever_the_model_ran_in(
    options: dict[str, Any], precision: str
) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    batch = _batch()

    with autocast(torch.device("cpu"), precision):
        step = ClassificationTask(classes=CLASSES, **options).step(model, batch)

    assert step.predictions.dtype != torch.float32
    assert {loss.total.dtype for loss in step.losses.values()} == {torch.float32}


@pytest.mark.parametrize("options", OPTIONS)
def test_confident_half_precision_logits_keep_a_finite_loss(options: dict[str, Any]) -> None:
    batch = _batch()
    logits = torch.full((9, 4), -60000.0, dtype=torch.float16)
    logits[:, 0] = 60000.0
    task = ClassificationTask(classes=CLASSES, **options)

    step = task.step(lambda _: logits, batch)  # type: ignore[arg-type]

    assert math.isfinite(float(total_loss(step.losses)))
