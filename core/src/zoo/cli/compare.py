"""``zoo compare``: several runs on one split, as a table and a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import json_option, model_options, task_options
from zoo.cli._output import count_text, print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar
from zoo.wording import counted

if TYPE_CHECKING:
    from zoo.workflows import ComparedRun, Comparison

_FINGERPRINT_DIGITS = 12
"""Of 64; enough for a person to see that two are the same."""


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(file_okay=False))
@model_options(batch_size=64, runs_only=True)
@click.option(
    "--data",
    metavar="SOURCE",
    help="What all are scored on; default: the data of the first run.",
    shell_complete=complete_names("dataset"),
)
@click.option(
    "--split",
    metavar="NAME",
    default="val",
    show_default=True,
    help="val, test, train, or all of unsplit images.",
)
@click.option(
    "--metric",
    "more_metrics",
    multiple=True,
    metavar="NAME",
    help="One more column: a metric of the task's own, or of `zoo list metrics`; may be repeated.",
    shell_complete=complete_names("metric"),
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Turns that each run takes while passes are timed, each with another image.",
)
@click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Processes that read images."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw quality against speed into a new .png, .svg or .pdf.",
)
@json_option
def compare(
    runs: tuple[str, ...],
    *,
    workers: int | None,
    assignments: tuple[str, ...],
    save: Path | None,
    json_: bool,
    **options: Any,
) -> None:
    """Score two or more RUNs on one split, and measure what an image costs each.

    The runs must do one task and know the same classes.  Their figures are those of `zoo eval`.

    The time is that of one image on its own, ready on the device: the model's pass and the reading
    of its answer, without decoding and resizing.  The runs take turns on the same images, so that
    other programs slow all alike.  Parameters are counted, and so are the multiply-adds of
    convolutions and linear layers for these images.
    """
    with lasting_imports():
        from zoo.reporting import check_picture_path
        from zoo.workflows import compare as measure

    if save is not None:
        check_picture_path(save)  # before the work, which would be for nothing
    with progress_bar("comparing") as progress:
        comparison = measure(
            runs,
            data_options={} if workers is None else {"workers": workers},
            task_options=task_options(assignments),
            progress=progress,
            message=print_message,
            **options,
        )
    if json_:
        print_json(_as_document(comparison))
    else:
        _print(comparison)
    for note in comparison.notes:
        print_message(note)
    if save is not None:
        comparison.save_picture(save)
        print_message(f"the picture is {save}")


class _Column(NamedTuple):
    """A column of figures.

    Attributes:
        value: of a run.
        text: of a value.
        falling: whether less is better.
    """

    name: str
    value: Callable[[ComparedRun], float]
    text: Callable[[float], str]
    falling: bool = True


def _print(comparison: Comparison) -> None:
    load = "" if comparison.load_average is None else f", load {comparison.load_average:.1f}"
    precisions = list(dict.fromkeys(each.result.precision for each in comparison.runs))
    print_answer(
        f"{comparison.data}, {comparison.split}: {counted(comparison.images, 'image')},"
        f" fingerprint {comparison.fingerprint[:_FINGERPRINT_DIGITS]}"
    )
    print_answer(
        f"one image on {comparison.device}, {' or '.join(precisions)}: median of"
        f" {counted(comparison.rounds, 'round')}{load}; speed-up over the slowest\n"
    )
    columns = _columns(comparison)
    values = [[column.value(each) for column in columns] for each in comparison.runs]
    rows = [
        (
            each.label,
            each.result.record.model.rpartition(":")[2],
            *([each.result.precision] if len(precisions) > 1 else []),
            *(column.text(value) for column, value in zip(columns, row, strict=True)),
        )
        for each, row in zip(comparison.runs, values, strict=True)
    ]
    words = ("run", "model", *(["precision"] if len(precisions) > 1 else []))
    print_table(
        (*words, *(column.name for column in columns)),
        rows,
        bold=_best(columns, values, len(words)),
    )


def _columns(comparison: Comparison) -> list[_Column]:
    return [
        *(_metric_column(name, falling=name in comparison.falling) for name in comparison.metrics),
        _Column("ms/image", lambda each: 1000 * each.cost.time_s, _three_digits),
        _Column("speed-up", lambda each: each.speedup, _three_digits, falling=False),
        _Column("parameters", lambda each: each.num_params, count_text),
        _Column("GMACs", lambda each: each.cost.gmacs, _three_digits),
    ]


def _metric_column(name: str, *, falling: bool) -> _Column:
    from zoo.reporting import format_metric

    return _Column(
        name, lambda each: each.value(name), lambda value: format_metric(name, value), falling
    )


def _best(columns: list[_Column], values: list[list[float]], words: int) -> set[tuple[int, int]]:
    """Row and column of the best value of each column, and of those that are equal to it."""
    marked = set()
    for number, column in enumerate(columns):
        known = [row[number] for row in values if row[number] == row[number]]
        best = (min if column.falling else max)(known, default=None)
        marked |= {(i, words + number) for i, row in enumerate(values) if row[number] == best}
    return marked


def _three_digits(value: float) -> str:
    """Three digits, all those before the point included.

    >>> _three_digits(0.04123), _three_digits(12.345), _three_digits(12345.6)
    ('0.0412', '12.3', '12,346')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _as_document(comparison: Comparison) -> dict[str, Any]:
    return {
        "task": comparison.task,
        "data": comparison.data,
        "split": comparison.split,
        "images": comparison.images,
        "fingerprint": comparison.fingerprint,
        "classes": comparison.runs[0].result.record.classes,
        "device": comparison.device,
        "rounds": comparison.rounds,
        "headline": comparison.metrics[0],
        "runs": [_as_row(each) for each in comparison.runs],
        "load_average": comparison.load_average,
        "environment": comparison.environment,
        "notes": comparison.notes,
    }


def _as_row(each: ComparedRun) -> dict[str, Any]:
    record = each.result.record
    return {
        "run": each.run,
        "label": each.label,
        "model": record.model,
        "distribution": record.distribution,
        "version": record.version,
        "step": record.step,
        "epoch": record.epoch,
        "ema": record.ema,
        "precision": each.result.precision,
        "metrics": each.result.metrics,
        "time_s": each.cost.time_s,
        "spread_fraction": each.cost.spread_fraction,
        "speedup": each.speedup,
        "num_params": each.num_params,
        "gmacs": each.cost.gmacs,
    }
