"""``zoo export``: write a model as a file for programs that have no zoo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import checkpoint_option, json_option, weights_option
from zoo.cli._output import print_answer, print_json, print_message

if TYPE_CHECKING:
    from zoo.workflows import ExportedFile

_DYNAMIC = "dynamic"
_SIZE = re.compile(r"([1-9]\d*)(?:x([1-9]\d*))?")


class _ImageSize(click.ParamType[Any]):
    """``224``, ``480x640`` (height, width) or ``dynamic``."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int] | str:
        if value == _DYNAMIC:
            return _DYNAMIC
        found = _SIZE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not PX, HEIGHTxWIDTH or {_DYNAMIC}", param, ctx)
        height, width = found.groups()
        return int(height) if width is None else (int(height), int(width))


class _BatchSize(click.ParamType[Any]):
    """``8`` or ``dynamic``."""

    name = "batch"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        return _DYNAMIC if value == _DYNAMIC else click.IntRange(min=1).convert(value, param, ctx)


@click.command()
@click.argument("run", metavar="RUN|MODEL", shell_complete=complete_names("model"))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    required=True,
    help="The file, which must not exist.",
)
@click.option(
    "--format",
    type=click.Choice(["onnx", "pt2"]),
    help="ONNX, or pt2 of torch.export; default: by the name of the file.",
)
@weights_option
@checkpoint_option
@click.option(
    "--image-size",
    type=_ImageSize(),
    metavar="SIZE",
    help="PX, HEIGHTxWIDTH or dynamic; default: that of the run, or dynamic for segmentation.",
)
@click.option(
    "--batch-size",
    type=_BatchSize(),
    default=_DYNAMIC,
    metavar="N",
    show_default=True,
    help="Images of each call, or dynamic.",
)
@click.option(
    "--data",
    metavar="SOURCE",
    help="Whose validation images are compared; default: the run's own data.",
    shell_complete=complete_names("dataset"),
)
@json_option
def export(run: str, output: Path, *, json_: bool, **options: Any) -> None:
    """Write a RUN, or a MODEL with --weights, as a file that needs no zoo.

    The graph takes images as they are decoded and resized (uint8, batch x channels x height x
    width), normalises them itself, and answers with scores.  Preprocessing, class names, versions
    and scores of the model are in the file, too.

    The file is written only if its answers equal the model's, on images of the validation split
    where they can be read, and on random ones.
    """
    with lasting_imports():
        from zoo.workflows import export as write

    exported = write(run, output, message=print_message, **options)
    if json_:
        print_json(_as_document(exported))
    else:
        _print(exported)


def _as_document(exported: ExportedFile) -> dict[str, Any]:
    return {
        "path": exported.path,
        "format": exported.format,
        "size_bytes": exported.size_bytes,
        "sha256": exported.sha256,
        "about": exported.about,
        "parity": exported.parity,
    }


def _print(exported: ExportedFile) -> None:
    from zoo.runs import format_bytes

    record, parity = exported.record, exported.parity
    answer = ", ".join(map(str, (exported.shape.batch_size or "batch", *_answer_axes(exported))))
    print_answer(
        f"{exported.path}: {record.model}, {exported.format}, {format_bytes(exported.size_bytes)}"
    )
    print_answer(f"input   {exported.about['input']['name']}  uint8 {exported.shape}")
    print_answer(f"output  {exported.about['output']['name']}  float32 ({answer})")
    print_answer(
        f"equal to the model within {parity.difference:.1e} of the largest answer"
        f" ({parity.tolerance:.0e} allowed), on {parity.real_images} validation and"
        f" {parity.random_images} random images"
    )


def _answer_axes(exported: ExportedFile) -> list[str]:
    """The answer of one image; what is as high and wide as the image says so by name."""
    shape = exported.answer_shape
    if exported.shape.size_px is None and len(shape) == 3:
        return [str(shape[0]), "height", "width"]
    return [str(length) for length in shape]
