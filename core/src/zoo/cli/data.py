"""``zoo data``: look at data before training on them, and pack them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import download_option, json_option, source_options
from zoo.cli._output import print_answer, print_json, print_message, print_table
from zoo.cli._progress import progress_bar
from zoo.config import DataConfig
from zoo.runs import format_bytes
from zoo.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.data.packs import PackResult
    from zoo.data.sources import SourceCheck

_SHOWN = 20
"""Files, groups or classes that are listed; the rest is counted, and in ``--json``."""


@click.group()
def data() -> None:
    """Look at data before training on them, and pack them."""


@data.command("check")
@click.argument("source", shell_complete=complete_names("dataset"))
@download_option
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


@data.command("pack")
@click.argument("source", shell_complete=complete_names("dataset"))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--size",
    "size_px",
    type=click.IntRange(min=1),
    default=256,
    metavar="PX",
    show_default=True,
    help="Of the shorter side; what is smaller stays as it is.",
)
@click.option(
    "--format",
    "image_format",
    type=click.Choice(("jpeg", "raw")),
    default="jpeg",
    show_default=True,
    help="JPEG, or raw pixels: eight times as large, and read three times as quickly.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=90,
    metavar="N",
    show_default=True,
    help="Of JPEGs; small ones are copied as they are.",
)
@click.option(
    "--channels",
    type=click.Choice(("1", "3", "4")),
    default="3",
    show_default=True,
    help="Grey, RGB or RGBA.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; default: one for each core.",
)
@source_options
@json_option
def pack(
    source: str, *, output: Path, channels: str, workers: int | None, json_: bool, **options: Any
) -> None:
    """Write the images of SOURCE into one file for each split, to be read quickly.

    SOURCE is as for check; its files stay as they are. The folder is then a SOURCE itself, whose
    splits are those that SOURCE would have. It appears when it is whole.
    """
    with lasting_imports():
        from zoo.data.packs import Packing
        from zoo.workflows import pack_data

    names = ("image_format", "size_px", "quality")
    packing = Packing(**{name: options.pop(name) for name in names})
    with progress_bar("packing") as progress:
        packed = pack_data(
            source,
            output,
            packing=packing,
            channels=int(channels),
            workers=workers,
            data=DataConfig.model_validate(options),
            message=print_message,
            progress=progress,
        )
    if json_:
        print_json(packed)
    else:
        _print_packed(packed)


def _print_packed(packed: PackResult) -> None:
    images = sum(packed.splits.values())
    listed = ", ".join(f"{split} {count:,}" for split, count in packed.splits.items())
    copied = f", {packed.copied:,} of them copied as they were" if packed.copied else ""
    print_answer(f"{packed.output}: {counted(images, 'image')} ({listed}){copied}")
    print_answer(
        f"{packed.image_format}, shorter side {packed.size_px} px or less,"
        f" {format_bytes(packed.size_bytes)}"
    )
    print_answer(f"use it with --data {packed.output}")


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
        print_answer(f"and {counted(len(names) - _SHOWN, 'more class')}")


def _class_text(images: int, pixels: Mapping[str, int], boxes: Mapping[str, int], name: str) -> str:
    """Images that show a class, and with masks its share of all pixels, with boxes their number."""
    if boxes:
        return f"{images:,} ({counted(boxes[name], 'box')})"
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
