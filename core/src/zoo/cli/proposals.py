"""``zoo proposals``: where on images objects could be, made before a training run asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._options import DEVICES, json_option, source_options
from zoo.cli._output import print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar

if TYPE_CHECKING:
    from zoo.workflows import BuiltProposals


@click.group()
def proposals() -> None:
    """Say where on images objects could be, for detectors that are told."""


@proposals.command("build")
@click.argument("source", shell_complete=complete_names("dataset"))
@click.option(
    "--method",
    required=True,
    metavar="NAME|rpn:RUN",
    help="A name of `zoo list proposers`, or a run whose model proposes.",
    shell_complete=complete_names("proposer"),
)
@click.option(
    "--split", default="all", metavar="NAME", show_default=True, help="train, val, test or all."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the method, such as mode=quality; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all of it to this file, too; default: the cache alone.",
)
@source_options
@click.option(
    "--device",
    default="auto",
    metavar="DEVICE",
    show_default=True,
    help=f"Of a run that proposes: {DEVICES}.",
)
@json_option
def build(source: str, *, assignments: tuple[str, ...], json_: bool, **options: Any) -> None:
    """Make the proposals of every image of SOURCE, on all cores.

    \b
        zoo proposals build blood/ --method selective-search
        zoo train fast_rcnn_resnet18 --data blood/ --set data.proposals=selective-search

    What is there already is not made again, and what was broken off goes on.  Training makes what
    is missing by itself.
    """  # noqa: D301 (click's mark for lines to be left as they are)
    from zoo.workflows import build_proposals

    built = build_proposals(
        source,
        options=_method_options(assignments),
        message=print_message,
        bar=progress_bar,
        **options,
    )
    if json_:
        print_json(built)
        return
    _print_built(built)


@proposals.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show(file: Path, *, json_: bool) -> None:
    """Say what made the proposals in FILE, and of how many images; every byte is checked."""
    from zoo.proposals import read_proposals

    found = read_proposals(file)
    facts = {
        "method": found.method.name,
        "options": found.method.options,
        "maker": found.method.maker,
        "images": len(found),
        "proposals": len(found.boxes),
        "sha256": found.sha256(),
    }
    if json_:
        print_json(facts)
        return
    for name, value in facts.items():
        print_answer(f"{name:<10} {value}")


def _method_options(assignments: Sequence[str]) -> dict[str, Any]:
    from zoo.config import assignments_layer

    keyed = [f"data.proposals_options.{assignment}" for assignment in assignments]
    values: dict[str, Any] = dict(assignments_layer(keyed, "command line").values)
    options: dict[str, Any] = values.get("data", {}).get("proposals_options", {})
    return options


def _print_built(built: Sequence[BuiltProposals]) -> None:
    ious = sorted({iou for one in built for iou in one.recall})
    print_table(
        ("split", "images", "for each image", "seconds", *(f"recall at {iou:g}" for iou in ious)),
        [
            (
                one.split,
                f"{one.images:,}",
                f"{one.proposals / max(one.images, 1):,.0f}",
                f"{one.seconds:.1f}",
                *(f"{one.recall[iou]:.3f}" if iou in one.recall else "-" for iou in ious),
            )
            for one in built
        ],
    )
    for file in dict.fromkeys(one.file for one in built):
        print_answer(str(file))
