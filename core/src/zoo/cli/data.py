"""``zoo data``: look at data before training on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import json_option
from zoo.cli._output import print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.data import SourceCheck

_SHOWN = 20
"""Files, groups or classes that are listed; the rest is counted, and in ``--json``."""


@click.group()
def data() -> None:
    """Look at data before training on them."""


@data.command("check")
@click.argument("source", shell_complete=complete_names("dataset"))
@click.option("--download", is_flag=True, help="Fetch registered data that are not here yet.")
@json_option
@click.pass_context
def check(context: click.Context, source: str, *, download: bool, json_: bool) -> None:
    """Decode every image of SOURCE and say what is wrong.

    SOURCE is NAME or NAME:PATH of a data set, a path, or layout:path. Nothing is changed. The
    exit code is 0 where nothing is wrong, and 1 where something is.
    """
    with lasting_imports():
        from zoo.workflows import check_data

    with progress_bar("checking") as progress:
        found = check_data(source, download=download, message=print_message, progress=progress)
    if json_:
        print_json(found)
    else:
        _print(found)
    if found.problems:
        context.exit(1)


def _print(found: SourceCheck) -> None:
    print_answer(f"{found.name} ({found.layout})\n")
    print_table(
        ("split", "images", "width px", "height px", "modes"),
        [
            (
                split,
                f"{check.images:,}",
                str(check.width_px or "-"),
                str(check.height_px or "-"),
                ", ".join(f"{n:,} {mode}" for mode, n in check.modes.items()),
            )
            for split, check in found.splits.items()
        ],
    )
    if found.splits["train"].classes:
        print_answer("")
        _print_classes(found)
    for split, check in found.splits.items():
        if check.box_side_px is not None:
            print_answer(f"boxes of {split}, square root of the area: {check.box_side_px} px")
    _print_list("cannot be read", list(found.bad_images.values()))
    _print_list("bad boxes", list(found.bad_boxes))
    _print_list("in more than one split", [" = ".join(group) for group in found.across_splits])
    _print_list("with several targets", [" = ".join(group) for group in found.across_classes])
    print_answer("")
    for note in found.notes:
        print_answer(f"note: {note}")
    for problem in found.problems:
        print_answer(f"problem: {problem}")
    if not found.problems:
        print_answer("nothing is wrong")


def _print_classes(found: SourceCheck) -> None:
    names = list(next(iter(found.splits.values())).classes)
    print_table(
        ("class", *found.splits),
        [
            (
                name,
                *(
                    _class_text(check.classes[name], check.pixels, check.boxes, name)
                    for check in found.splits.values()
                ),
            )
            for name in names[:_SHOWN]
        ],
    )
    if len(names) > _SHOWN:
        print_answer(f"and {len(names) - _SHOWN} more classes")


def _class_text(images: int, pixels: Mapping[str, int], boxes: Mapping[str, int], name: str) -> str:
    """Images that show a class, and with masks its share of all pixels, with boxes their number."""
    if boxes:
        return f"{images:,} ({boxes[name]:,} box{'es' * (boxes[name] != 1)})"
    total = sum(pixels.values())
    share = f" ({100 * pixels[name] / total:.2f} %)" if total else ""
    return f"{images:,}{share}"


def _print_list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    print_answer(f"\n{title}:")
    for line in lines[:_SHOWN]:
        print_answer(f"  {line}")
    if len(lines) > _SHOWN:
        print_answer(f"  and {len(lines) - _SHOWN} more")
