"""Score a run, or a model with published weights, on a split of some data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import evaluation
from zoo.config import RunConfig, load_config
from zoo.config._schema import DataConfig
from zoo.data import Loader, evaluation_batches, open_source
from zoo.errors import DataError, RunFolderError, UnknownNameError, UsageError
from zoo.inference import Predictor, load_model, load_run
from zoo.metrics import ClassScores, ConfusionMatrix, Metric
from zoo.registry import default_registry
from zoo.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.data import Dataset, Source
    from zoo.inference import ModelRecord
    from zoo.registry import Registry

_WORDNET_ID = re.compile(r"n\d{8}")
_SHOWN = 3
"""Differences between classes that a message names."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What a model scored on a split.

    Attributes:
        metrics: losses and metrics by name: "loss", "top1".
        per_class: scores by class name, where the task has them ("precision", "recall", "f1",
            "images").
        confusion: (k, k) rows of labels, columns of predictions, where they were asked for.
        record: of the weights.
        data: name of the data.
        fingerprint: of the split.
        split: its name.
        images: all of which were counted.
        precision, device: that it ran at and on.
    """

    metrics: Mapping[str, float]
    record: ModelRecord
    data: str
    fingerprint: str
    split: str
    images: int
    precision: str
    device: str
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: Sequence[Sequence[int]] | None = None


def evaluate(
    model: str | Path | Predictor,
    *,
    weights: str | None = None,
    data: str | None = None,
    split: str = "val",
    checkpoint: str = "best",
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    download: bool = False,
    on_bad_image: str = "fail",
    confusion: bool = False,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> EvaluationResult:
    """Score a run, or a model with weights, exactly as ``zoo eval`` does.

    >>> import zoo
    >>> zoo.evaluate("runs/digits").metrics["top1"]  # doctest: +SKIP
    0.9917

    Args:
        model: a run folder, or a model's name with ``weights``, or what ``zoo.load_run`` gave.
        weights: a published set's name, or a .safetensors or .pth file.
        data: a registered name or a path; default: the data of the run.
        split: "val", "test", "train".
        checkpoint: of a run: "best", "last" or "step-N".
        batch_size: images of a forward pass; no metric depends on it.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "fp32", "bf16" or "fp16".
        workers: loader processes; default: what the machine and the data ask for.
        download: fetch registered data that are not here.
        on_bad_image: "fail", or "skip" to leave out and report images that cannot be read.
        confusion: count the confusion matrix too; it takes 8 k^2 bytes.
        registry: default: everything that is installed.
        progress: called with the images done and planned.
        message: told what a person should know; default: nobody.

    Raises:
        DataError: the data have other classes than the weights, no such split, or a bad image.
        UsageError: the model, weights or data do not exist.
    """
    say = message or _nobody
    registry = registry or default_registry()
    settings = _data_settings(
        model,
        source=data,
        workers=workers,
        download=download,
        on_bad_image=on_bad_image,
    )
    predictor = open_predictor(
        model,
        weights,
        checkpoint=checkpoint,
        device=device,
        precision=precision,
        registry=registry,
        message=say,
    )
    record = predictor.record
    source = open_source(
        str(settings.source),
        registry=registry,
        data=settings,
        message=say,
        channels=record.in_channels,
    )
    _check_classes(source, record)
    dataset = _split_of(source, split)
    metrics = dict(predictor.task.metrics(split if split != "train" else "val"))
    if confusion:
        metrics["confusion-matrix"] = ConfusionMatrix(classes=record.classes)
    values = _run(predictor, source, dataset, metrics, settings, split, batch_size, progress)
    return EvaluationResult(
        metrics=values,
        record=record,
        data=source.name,
        fingerprint=dataset.fingerprint(),
        split=split,
        images=len(dataset),
        precision=predictor.precision,
        device=str(predictor.device),
        **_details(metrics),
    )
