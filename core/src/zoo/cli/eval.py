"""``zoo eval``: score a run, or a model with weights, on a split of some data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import (
    download_option,
    json_option,
    model_options,
    proposals_option,
    task_options,
)
from zoo.cli._output import print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar
from zoo.wording import counted

if TYPE_CHECKING:
    from zoo.workflows import EvaluationResult

_WIDEST_MATRIX = 30
"""Classes; a wider confusion matrix fits no terminal."""
_DATA_OPTIONS = ("workers", "download", "on_bad_image", "on_bad_box", "proposals")
"""Keys of the config section ``[data]``; those that are not given stay as they are in the run."""


@click.command("eval")
@click.argument("run", metavar="RUN|MODEL", shell_complete=complete_names("model"))
@model_options(batch_size=64)
@proposals_option
@click.option(
    "--data",
    metavar="SOURCE",
    help="NAME or NAME:PATH of a data set, a path, or layout:path; default: the run's own.",
    shell_complete=complete_names("dataset"),
)
@click.option(
    "--split", metavar="NAME", help="val (the default), test, train, or all of unsplit images."
)
@click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Processes that read images."
)
@download_option
@click.option(
    "--on-bad-image",
    type=click.Choice(["fail", "skip"]),
    help="What to do with an image that cannot be read; default: as the run.",
)
@click.option(
    "--on-bad-box",
    type=click.Choice(["fail", "clip", "skip"]),
    help="What to do with boxes that are wrong; default: as the run.",
)
@click.option("--per-class", is_flag=True, help="Show the scores of each class.")
@click.option(
    "--confusion", is_flag=True, help="Show how often each class was taken for each other."
)
@click.option(
    "--metric",
    "more_metrics",
    multiple=True,
    metavar="NAME",
    help="One more metric of `zoo list metrics`; may be repeated.",
    shell_complete=complete_names("metric"),
)
@json_option
def eval_(
    run: str, *, per_class: bool, assignments: tuple[str, ...], json_: bool, **options: Any
) -> None:
    """Score a RUN, or a MODEL with --weights, on every image of a split.

    The best weights of a run are used, with its own preprocessing, on its own data unless --data
    names others of the same classes.
    """
    with lasting_imports():
        from zoo.workflows import evaluate

    said = {key: options.pop(key) for key in _DATA_OPTIONS}
    given = {key: value for key, value in said.items() if value is not None and value is not False}
    with progress_bar("evaluating") as progress:
        result = evaluate(
            run,
            data_options=given,
            task_options=task_options(assignments),
            progress=progress,
            message=print_message,
            **options,
        )
    if json_:
        print_json(_as_document(result))
        return
    _print_summary(run, result)
    if per_class:
        _print_per_class(result)
    if options["confusion"]:
        _print_confusion(result)
    for note in result.notes:
        print_message(note)


def _as_document(result: EvaluationResult) -> dict[str, Any]:
    record = result.record
    return {
        "model": record.model,
        "distribution": record.distribution,
        "version": record.version,
        "weights": record.weights,
        "step": record.step,
        "epoch": record.epoch,
        "ema": record.ema,
        "data": result.data,
        "split": result.split,
        "images": result.images,
        "fingerprint": result.fingerprint,
        "device": result.device,
        "precision": result.precision,
        "classes": record.classes,
        "metrics": result.metrics,
        "per_class": result.per_class,
        "confusion": result.confusion,
        "notes": result.notes,
    }


def _print_summary(run: str, result: EvaluationResult) -> None:
    from zoo.reporting import format_metric

    record = result.record
    weights = record.weights or f"step {record.step}{', moving average' if record.ema else ''}"
    print_answer(f"{run}: {record.model}, {weights}, {result.precision} on {result.device}")
    print_answer(f"{result.data}, {result.split}: {counted(result.images, 'image')}\n")
    width = max(map(len, result.metrics))
    for name, value in result.metrics.items():
        print_answer(f"{name:<{width}}  {format_metric(name, value):>8}")


def _print_per_class(result: EvaluationResult) -> None:
    if not result.per_class:
        print_message("This task has no scores of single classes.")
        return
    print_answer("")
    keys = list(next(iter(result.per_class.values())))
    print_table(
        ("class", *keys),
        [(name, *map(_cell, scores.values())) for name, scores in result.per_class.items()],
    )


def _cell(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"


def _print_confusion(result: EvaluationResult) -> None:
    if result.confusion is None:
        print_message("This task has no confusion matrix.")
        return
    if len(result.confusion) > _WIDEST_MATRIX:
        print_message(f"{len(result.confusion)} classes are too many to show; use --json.")
        return
    print_answer("\nrows are labels, columns are predictions")
    names = result.record.classes
    print_table(
        ("", *names),
        [
            (name, *(str(count) for count in row))
            for name, row in zip(names, result.confusion, strict=True)
        ],
    )
