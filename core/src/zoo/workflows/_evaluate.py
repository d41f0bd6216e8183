"""Score a run, or a model with published weights, on a split of some data."""

from __future__ import annotations

import inspect
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo import evaluation
from zoo.cards import MetricCard
from zoo.config import DataConfig, check_options, load_config
from zoo.cores import core_times
from zoo.data.loading import Loader, evaluation_batches
from zoo.data.sources import open_source
from zoo.errors import UnknownNameError, UsageError
from zoo.inference import Predictor
from zoo.models import FOLDING_PAYS_FROM
from zoo.registry import default_registry
from zoo.runs import RunFolder
from zoo.wording import to_nobody
from zoo.workflows._classes import with_classes_of
from zoo.workflows._crowded import crowded_line
from zoo.workflows._open import is_run, open_predictor
from zoo.workflows._proposals import with_proposals_for
from zoo.workflows._resume import DATA_RECORD
from zoo.workflows._seen_images import learned_images_note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.data.datasets import Dataset, Source
    from zoo.inference import ModelRecord
    from zoo.metrics import Metric
    from zoo.registry import Registry
    from zoo.tasks import Task


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What a model scored on a split.

    Attributes:
        metrics: losses and metrics by name: "loss", "top1".
        record: of the weights.
        data: name of the data.
        fingerprint: of the split.
        split: its name.
        images: all of which were counted.
        device, precision: that it ran on and at.
        per_class: scores by class name, where the task has them ("precision", "recall", "f1",
            "images"; "iou", "dice", "pixels").
        confusion: (k, k) rows of labels, columns of predictions, where it was asked for.
        notes: what a reader should know of the values (classes that never occur).
    """

    metrics: Mapping[str, float]
    record: ModelRecord
    data: str
    fingerprint: str
    split: str
    images: int
    device: str
    precision: str
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: Sequence[Sequence[int]] | None = None
    notes: Sequence[str] = ()


def evaluate(  # noqa: PLR0913  (what a user may choose)
    model: str | Path | Predictor,
    *,
    weights: str | None = None,
    data: str | None = None,
    split: str | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    confusion: bool = False,
    more_metrics: Sequence[str] = (),
    data_options: Mapping[str, Any] | None = None,
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> EvaluationResult:
    """Score a run, or a model with weights, exactly as ``zoo eval`` does.

    >>> import zoo
    >>> result = zoo.evaluate("runs/pets", split="val")
    >>> result.metrics["top1"], result.images
    (1.0, 5)

    Args:
        model: a run folder; a model's name, with ``weights``; or what ``zoo.load_run`` gave.
        weights: a published set's name, or a .safetensors or .pth file.
        data: a registered name or a path; default: the data of the run.
        split: "val", "test", "train" or "all"; default: "val", and "all" images of other data
            that have no splits of their own.
        checkpoint: of a run: "best", "last" or "step-N".
        batch_size: images of a forward pass; no metric depends on it.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (that of the run), "fp32", "bf16" or "fp16".
        confusion: the confusion matrix too, where the task has one.
        more_metrics: names of metrics beside those of the task.
        data_options: keys of the config section ``[data]``: "workers", "on_bad_image", ...
        task_options: replace those of the run ("tile_px", ...).
        registry: default: everything that is installed.
        progress: called with the images done and planned.
        message: told what a person should know; default: nobody.

    Raises:
        DataError: the data have other classes than the weights, or an image that is damaged.
        UsageError: the model, weights, data, split or metric do not exist.
    """
    registry = registry or default_registry()
    message, cores_before = message or to_nobody, core_times()
    run = None if weights or isinstance(model, Predictor) or not is_run(model) else Path(model)
    settings = data_settings(run, data, data_options or {})
    predictor = open_predictor(
        model,
        weights=weights,
        checkpoint=checkpoint,
        device=device,
        precision=precision,
        registry=registry,
        message=message,
        task_options=task_options,
        proposals=(data_options or {}).get("proposals"),
    )
    if run is None and data is None:
        raise UsageError(f"evaluate {predictor.record.model} on which data?", "Give --data SOURCE.")
    undivided = data is not None and split in (None, "all")
    source = open_source(
        settings.source or default_data(predictor.record, registry),
        registry=registry,
        data=settings,
        channels=predictor.record.in_channels,
        message=message,
        undivided=undivided,
    )
    if split is None:
        split = "all" if undivided and source.whole is not None else "val"
    if run is not None:
        _say_what_was_seen(RunFolder(run), source, split, message, is_own=data is None)
    predictor = with_classes_of(source, predictor)
    source = with_proposals_for(
        predictor,
        source,
        split,
        word=settings.proposals,
        registry=registry,
        message=message,
        bar=None if progress is None else lambda _: nullcontext(progress),
    )
    if line := crowded_line(cores_before, predictor.device):
        message(line)
    return score_split(
        predictor,
        source,
        split,
        metrics=metrics_of(predictor.task, more_metrics, registry),
        batch_size=batch_size,
        workers=settings.workers,
        confusion=confusion,
        progress=progress,
    )


def score_split(
    predictor: Predictor,
    source: Source,
    split: str,
    *,
    metrics: Mapping[str, Metric],
    batch_size: int,
    workers: int | None = None,
    confusion: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Score a model on a split of data that are open.

    Args:
        predictor: with the classes of the source.
        source: the data, with the proposals that the model wants.
        split: of them, or "all".
        metrics: fresh, from ``metrics_of``.
        batch_size, confusion, progress: as for ``evaluate``.
        workers: processes that read images; None takes what suits the machine.
    """
    if confusion and (matrix := predictor.task.confusion_metric()) is not None:
        metrics = {**metrics, "confusion-matrix": matrix}
    dataset = split_of(source, split)
    predictor.task.check_targets({split: dataset})
    values = _score(
        predictor,
        dataset,
        metrics,
        split=split,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    return EvaluationResult(
        metrics=values,
        record=predictor.record,
        data=source.name,
        fingerprint=dataset.fingerprint(),
        split=split,
        images=len(dataset),
        device=str(predictor.device),
        precision=predictor.precision,
        **_details(metrics, confusion=confusion),
    )


def metrics_of(task: Task, more_metrics: Sequence[str], registry: Registry) -> dict[str, Metric]:
    """Fresh metrics of an evaluation: those of the task, and more by name.

    Raises:
        UsageError: one is unknown, or reads the predictions of another task.
    """
    own = dict(task.metrics("val"))
    return own | _named_metrics(more_metrics, task, registry) | own


def _named_metrics(names: Sequence[str], task: Task, registry: Registry) -> dict[str, Metric]:
    """Metrics of the registry, with the options of the task that they take (``ignore_index``).

    Raises:
        UsageError: one is unknown, or reads the predictions of another task.
    """
    found = {}
    for name in names:
        entry = registry.get("metric", name)
        wanted = cast(MetricCard, entry.card).task.rpartition(":")[2]
        if wanted != task.name:
            raise UsageError(
                f"{name} is a metric of {wanted}, and the model does {task.name}",
                f"`zoo list metrics --task {task.name}` shows those that fit.",
            )
        factory = registry.load(entry)
        parameters = inspect.signature(factory).parameters
        options = {key: value for key, value in task.options().items() if key in parameters}
        found[entry.card.name] = factory(classes=task.classes, **options)
    return found


def _score(
    predictor: Predictor,
    dataset: Dataset,
    metrics: Mapping[str, Metric],
    *,
    split: str,
    batch_size: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, float]:
    transforms = predictor.transforms
    loader = Loader(
        dataset,
        transforms.sample,
        workers=workers,
        device=predictor.device,
        cache="none",
        fill=transforms.fill,
    )
    with closing(loader):
        return evaluation.evaluate(
            predictor.model,
            predictor.task,
            loader,
            evaluation_batches(len(dataset), batch_size=batch_size),
            dataset=dataset,
            transforms=transforms,
            device=predictor.device,
            precision=predictor.precision,
            split=split,
            fold=len(dataset) >= FOLDING_PAYS_FROM,
            metrics=metrics,
            micro_batch=predictor.micro_batch,
            progress=progress,
        )


def _details(metrics: Mapping[str, Metric], *, confusion: bool) -> dict[str, Any]:
    """What the metrics know beside their values, for the fields of the result."""
    details: dict[str, Any] = {"per_class": {}, "notes": []}
    for metric in metrics.values():
        found = metric.details()
        for name, scores in found.get("per_class", {}).items():
            details["per_class"].setdefault(name, {}).update(scores)
        details["notes"] += found.get("notes", [])
        if confusion and "confusion" in found:
            details["confusion"] = found["confusion"]
    return details


def data_settings(run: Path | None, source: str | None, options: Mapping[str, Any]) -> DataConfig:
    """How the data are read: as by the run, but for what is said anew."""
    settings = load_config(RunFolder.open(run).config).config.data if run else DataConfig()
    checked = check_options("data", DataConfig, options)
    source = settings.source if source is None else source
    return settings.model_copy(update={**checked, "source": source})


def _say_what_was_seen(
    run: RunFolder, source: Source, split: str, message: Callable[[str], None], *, is_own: bool
) -> None:
    """Other images than at training may be others in the split, among them some trained on."""
    if not (run.path / DATA_RECORD).exists():
        return
    record = run.read_json(DATA_RECORD)
    if is_own and (difference := source.first_difference(record)):
        message(f"The data are no longer those of the run: {difference}.")
    learned = learned_images_note(record, "The run", source, split)
    if learned and split != "train":
        message(f"{learned}: the scores are too good.")


def default_data(record: ModelRecord, registry: Registry) -> str:
    return registry.default_dataset(registry.get("task", record.task)).full_name


def split_of(source: Source, split: str) -> Dataset:
    splits = source.splits if source.whole is None else {**source.splits, "all": source.whole}
    if split not in splits:
        names = ", ".join(splits)
        raise UnknownNameError("split", split, splits, f"{source.name} has {names}.")
    return splits[split]
