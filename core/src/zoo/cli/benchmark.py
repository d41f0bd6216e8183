"""``zoo benchmark``: how fast a model is on this machine, and what each speed option brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import json_option
from zoo.cli._output import count_text, print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar
from zoo.wording import counted

if TYPE_CHECKING:
    from zoo.workflows import BenchmarkResult

_COLUMNS = (
    *("phase", "variant", "images/s", "ratio", "spread %"),
    *("GFLOP/s", "of peak %", "peak MiB", "ratio"),
)


@click.command()
@click.argument("model", shell_complete=complete_names("model"))
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="Default: as in zoo train."
)
@click.option(
    "--image-size", type=click.IntRange(min=1), metavar="PX", help="Default: the model's own."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Turns that every variant takes; the median counts.",
)
@click.option(
    "--train/--inference", "train", default=None, help="Only this; default: both, and the loader."
)
@click.option("--compile", "compiled", is_flag=True, help="Compiled too, which takes minutes.")
@click.option(
    "--data",
    metavar="SOURCE",
    help="What is read, as in zoo train; default: the task's embedded data.",
)
@click.option(
    "--against",
    metavar="NAMES",
    default="",
    help="Peers that do the same work: torchvision,timm,lightning; each as its users write it by"
    " default: fp32, no channels-last.",
)
@json_option
def benchmark(
    model: str,
    *,
    train: bool | None,
    data: str | None,
    against: str,
    json_: bool,
    **options: Any,
) -> None:
    """Measure how fast MODEL trains, answers and is fed, with and without each speed option.

    A training step is the trainer's own, an answer the forward pass of an evaluation, and both are
    given one batch again and again. The loader reads as training does, by so many processes, and
    then for training itself. Options are switched on one after the other. Ratios are to the first
    variant of each phase, in the same run: other programs slow all variants alike, if they do not
    come and go.

    Detectors that look at proposals are given none, and make a grid of them.

    GFLOP/s are those of convolutions and linear layers: 2 for each of the model's multiply-adds,
    and 3 times as many in training. Their share of the peak is that of a product of two matrices in
    the same precision, in its fastest round of the same run; kernels that compute a convolution by
    fewer operations may come out above it.

    The peak of memory is that of model, optimizer and steps: on CUDA what torch has allocated, on
    the CPU what is resident in memory (on Linux alone; it varies by some ten MiB).
    """
    with lasting_imports():
        from zoo.workflows import benchmark as measure

    phases = {None: ("training", "inference"), True: ("training",), False: ("inference",)}[train]
    if train is None or data is not None:
        phases = (*phases, "loader")
    with progress_bar("measuring") as progress:
        result = measure(
            model,
            phases=phases,
            data=data,
            against=[name.strip() for name in against.split(",") if name.strip()],
            progress=progress,
            message=print_message,
            **options,
        )
    if json_:
        print_json(result)
        return
    _print(result)


def _print(result: BenchmarkResult) -> None:
    versions, cpu = result.environment["versions"], result.environment["cpu"]
    load = "" if result.load_average is None else f", load {result.load_average:.1f}"
    classes = f", {counted(result.num_classes, 'class')}" if result.num_classes else ""
    peaks = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in result.peaks.items())
    print_answer(
        f"{result.model}: {count_text(result.num_params)} parameters, {result.gmacs:.3g} GMACs"
        f" at {result.image_size_px} px{classes}"
    )
    print_answer(
        f"batches of {result.batch_size} of {result.data} on {result.device},"
        f" {counted(result.rounds, 'round')}{load}"
    )
    print_answer(f"{cpu['model']}, {counted(cpu['usable'], 'core')}; torch {versions['torch']}")
    if peaks:
        print_answer(f"peak, by a product of matrices, in GFLOP/s: {peaks}")
    print_answer("")
    print_table(_COLUMNS, _rows(result))
    if result.binds:
        print_answer(f"\n{result.binds} binds: alone and as in a run, it is the slower of the two")


def _rows(result: BenchmarkResult) -> list[tuple[str, ...]]:
    return [
        (
            speed.phase,
            speed.variant,
            f"{speed.images_per_s:,.1f}",
            f"{speed.ratio:.2f}",
            f"{100 * speed.spread_fraction:.0f}",
            _cell(speed.flops_per_s, "{:,.1f}", 1e-9),
            _cell(speed.peak_fraction, "{:.1f}", 100),
            _cell(speed.peak_memory_bytes, "{:,.0f}", 2**-20),
            _cell(speed.memory_ratio, "{:.2f}"),
        )
        for speed in result.speeds
    ]


def _cell(value: float | None, form: str, unit: float = 1.0) -> str:
    return "" if value is None else form.format(value * unit)
