"""Several runs on one split: what each of them scores, and what an image costs it.

What can be wrong with runs, data, split and metrics is found before any image is looked at.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from zoo.devices import describe_device
from zoo.registry import Registry, default_registry
from zoo.reporting import PlottedRun, save_tradeoff
from zoo.runs import RunFolder, describe_environment
from zoo.tasks import Task
from zoo.wording import counted, to_nobody
from zoo.workflows._entrants import Entrant, open_entrants, proposed
from zoo.workflows._evaluate import EvaluationResult, metrics_of, score_split
from zoo.workflows._open import open_predictor
from zoo.workflows._pass_times import PassCost, measure_passes
from zoo.workflows._seen_images import seen_images_note


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        run: its folder, as it was named.
        label: the part of the folder's path in which the runs differ.
        result: what ``evaluate`` gives for it.
        cost: of one image.
        speedup: how many times as fast as the slowest run it is.
        num_params: parameters.
    """

    run: Path
    label: str
    result: EvaluationResult
    cost: PassCost
    speedup: float
    num_params: int

    def value(self, metric: str) -> float:
        """Of a metric; NaN where the model gives none (a loss, say)."""
        return self.result.metrics.get(metric, math.nan)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: best headline metric first.
        metrics: the headline metric, then those to show beside it.
        falling: metrics of which less is better.
        task: full name.
        data, split, images, fingerprint: what all of them were scored on.
        device: with its name, or the number of its threads.
        rounds: turns that each of them took while passes were timed.
        load_average: of the machine over the minute before; None where the system does not say.
        environment: hardware and versions.
        notes: what a reader should know of the figures.
    """

    runs: Sequence[ComparedRun]
    metrics: Sequence[str]
    falling: frozenset[str]
    task: str
    data: str
    split: str
    images: int
    fingerprint: str
    device: str
    rounds: int
    load_average: float | None
    environment: Mapping[str, Any]
    notes: Sequence[str]

    def save_picture(self, path: str | Path) -> None:
        """Draw the headline metric against the time of an image into a new .png, .svg or .pdf.

        Raises:
            UsageError: a file is there, the format is none of these, or matplotlib is missing.
            StorageError: it cannot be written.
        """
        headline = self.metrics[0]
        precisions = ", ".join(sorted({each.result.precision for each in self.runs}))
        save_tradeoff(
            Path(path),
            [
                PlottedRun(each.label, each.value(headline), each.cost.time_s, each.num_params)
                for each in self.runs
            ],
            metric=headline,
            falling=headline in self.falling,
            title=f"{self.data}, {self.split}: {counted(self.images, 'image')}",
            where=f"{self.device}, {precisions}",
        )


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which metrics are shown.

    Attributes:
        shown: their names, the headline metric first.
        asked: names of the registry, for the evaluation to compute beside the task's own.
        falling: those of ``shown`` of which less is better.
    """

    shown: Sequence[str]
    asked: Sequence[str]
    falling: frozenset[str]


def compare(  # noqa: PLR0913  (what a user may choose)
    runs: Sequence[str | Path],
    *,
    data: str | None = None,
    split: str = "val",
    checkpoint: str = "best",
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    rounds: int = 7,
    more_metrics: Sequence[str] = (),
    data_options: Mapping[str, Any] | None = None,
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> Comparison:
    """Score runs on one split, and measure what an image costs each, as ``zoo compare`` does.

    >>> import zoo
    >>> comparison = zoo.compare(["runs/small", "runs/large"])
    >>> [(each.label, each.result.metrics["top1"]) for each in comparison.runs]
    [('large', 1.0), ('small', 0.8)]
    >>> comparison.save_picture("runs.png")

    Args:
        runs: folders of two or more runs of one task and the same classes.
        data: a registered name or a path; default: the data of the first run.
        split: that all are scored on: "val", "test", "train", or "all" of data without splits.
        rounds: turns that each run takes while passes are timed, each with another image.
        more_metrics: to show too: names that the evaluation computes, or of the registry.
        checkpoint, batch_size, device, precision, data_options, task_options, registry: as for
            ``evaluate``.
        progress: called with what is done and what there is in all.
        message: told what a person should know; default: nobody.

    Raises:
        UsageError: one is no run, or they cannot be compared.
    """
    registry, message = registry or default_registry(), message or to_nobody
    open_run = partial(
        open_predictor,
        weights=None,
        checkpoint=checkpoint,
        device=device,
        precision=precision,
        task_options=task_options,
        registry=registry,
        message=message,
    )
    entrants = open_entrants(
        runs,
        open_run,
        data=data,
        split=split,
        data_options=data_options or {},
        registry=registry,
        message=message,
    )
    columns = _choose_columns(entrants[0].predictor.task, more_metrics, registry)
    seen = [
        seen_images_note(RunFolder(e.path), e.label, entrants[0].source, split) for e in entrants
    ]
    bar = None if progress is None else lambda _: nullcontext(progress)
    entrants = [
        proposed(each, split, registry=registry, message=message, bar=bar) for each in entrants
    ]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    compared = _measure(
        entrants,
        split=split,
        batch_size=batch_size,
        rounds=rounds,
        more_metrics=columns.asked,
        registry=registry,
        progress=progress or to_nobody,
    )
    said = [note for each in compared for note in each.result.notes]
    first, task = compared[0].result, entrants[0].predictor.record.task
    return Comparison(
        runs=sorted(compared, key=lambda each: _rank(each, columns)),
        metrics=columns.shown,
        falling=columns.falling,
        task=task,
        data=first.data,
        split=split,
        images=first.images,
        fingerprint=first.fingerprint,
        device=describe_device(entrants[0].predictor.device),
        rounds=rounds,
        load_average=load,
        environment=_environment(entrants),
        notes=list(dict.fromkeys([*filter(None, seen), *said])),
    )


def _choose_columns(task: Task, more_metrics: Sequence[str], registry: Registry) -> _Columns:
    """The task's headline, what stands beside it, and what was asked for.

    Raises:
        UsageError: nobody has a metric of that name.
    """
    own = {key for metric in task.metrics("val").values() for key in metric.compute()} | {"loss"}
    asked = [name for name in more_metrics if name not in own]
    metrics = metrics_of(task, asked, registry)
    computed = {name: list(metric.compute()) for name, metric in metrics.items()}
    shown = [task.headline.rpartition("/")[2]]
    shown += [name for name in task.beside_headline if name in own]
    for name in more_metrics:
        shown += [name] if name in own else computed[registry.get("metric", name).card.name]
    falling = {key for metric in metrics.values() for key in metric.falling}
    return _Columns(
        shown=list(dict.fromkeys(shown)),
        asked=asked,
        falling=frozenset(name for name in shown if name in falling or "loss" in name),
    )


def _measure(
    entrants: Sequence[Entrant],
    *,
    split: str,
    batch_size: int,
    rounds: int,
    more_metrics: Sequence[str],
    registry: Registry,
    progress: Callable[[int, int], None],
) -> list[ComparedRun]:
    """What each run costs and scores, in their order."""
    images = len(entrants[0].dataset)
    passes = 2 * rounds * len(entrants)
    total = passes + images * len(entrants)
    costs = measure_passes(
        [each.predictor for each in entrants],
        [each.dataset for each in entrants],
        rounds=rounds,
        progress=lambda done: progress(done, total),
    )
    slowest_s = max(cost.time_s for cost in costs)
    compared = []
    for number, (each, cost) in enumerate(zip(entrants, costs, strict=True)):
        before = passes + images * number
        result = score_split(
            each.predictor,
            each.source,
            split,
            batch_size=batch_size,
            workers=each.workers,
            metrics=metrics_of(each.predictor.task, more_metrics, registry),
            progress=_after(before, total, progress),
        )
        compared.append(
            ComparedRun(
                run=each.path,
                label=each.label,
                result=result,
                cost=cost,
                speedup=slowest_s / cost.time_s,
                num_params=sum(p.numel() for p in each.predictor.model.parameters()),
            )
        )
    return compared


def _after(
    before: int, total: int, progress: Callable[[int, int], None]
) -> Callable[[int, int], None]:
    """Hears of a part of the work, and tells of the whole."""
    return lambda done, _: progress(before + done, total)


def _rank(run: ComparedRun, columns: _Columns) -> tuple[bool, float]:
    """Sorts runs by the headline metric, the best first; those without a value come last."""
    headline = columns.shown[0]
    value = run.value(headline)
    return math.isnan(value), value if headline in columns.falling else -value


def _environment(entrants: Sequence[Entrant]) -> Mapping[str, Any]:
    records = [each.predictor.record for each in entrants]
    return describe_environment(
        plugins={record.distribution: record.version for record in records},
        threads=torch.get_num_threads(),
        cuda=torch.version.cuda,
    )
