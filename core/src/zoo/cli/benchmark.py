"""``zoo benchmark``: how fast a model is on this machine, and what each speed option brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import json_option
from zoo.cli._output import count_text, print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar

if TYPE_CHECKING:
    from zoo.workflows import BenchmarkResult

_COLUMNS = ("phase", "variant", "images/s", "ratio", "spread %", "peak MiB", "ratio")


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
@click.option("--train/--inference", "train", default=None, help="Only one; default: both.")
@click.option("--compile", "compiled", is_flag=True, help="Compiled too, which takes minutes.")
@json_option
def benchmark(model: str, *, train: bool | None, json_: bool, **options: Any) -> None:
    """Measure how fast MODEL trains and answers, with and without each speed option.

    A training step is the trainer's own, an answer the forward pass of an evaluation; reading
    images is not measured.  Ratios are to plain fp32, the first variant of each phase, in the same
    run: other programs slow all variants alike, if they do not come and go.

    The peak of memory is that of model, optimizer and steps: on CUDA what torch has allocated, on
    the CPU what is resident in memory (on Linux alone; it varies by some ten MiB).
    """
    with lasting_imports():
        from zoo.workflows import benchmark as measure

    phases = {None: ("training", "inference"), True: ("training",), False: ("inference",)}[train]
    with progress_bar("measuring") as progress:
        result = measure(model, phases=phases, progress=progress, message=print_message, **options)
    if json_:
        print_json(result)
        return
    _print(result)


def _print(result: BenchmarkResult) -> None:
    versions, cpu = result.environment["versions"], result.environment["cpu"]
    load = "" if result.load_average is None else f", load {result.load_average:.1f}"
    classes = f", {result.num_classes} classes" if result.num_classes else ""
    print_answer(
        f"{result.model}: {count_text(result.num_params)} parameters, {result.gmacs:.3g} GMACs"
        f" at {result.image_size_px} px{classes}"
    )
    print_answer(f"batches of {result.batch_size} on {result.device}, {result.rounds} rounds{load}")
    print_answer(f"{cpu['model']}, {cpu['usable']} cores; torch {versions['torch']}\n")
    print_table(
        _COLUMNS,
        [
            (
                speed.phase,
                speed.variant,
                f"{speed.images_per_s:,.1f}",
                f"{speed.ratio:.2f}",
                f"{100 * speed.spread_fraction:.0f}",
                _mib(speed.peak_memory_bytes),
                "" if speed.memory_ratio is None else f"{speed.memory_ratio:.2f}",
            )
            for speed in result.speeds
        ],
    )


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.0f}"
