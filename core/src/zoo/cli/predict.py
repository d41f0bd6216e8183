"""``zoo predict``: say what is on images."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.cells import cell_len

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import json_option, model_options, proposals_option, task_options
from zoo.cli._output import print_answer, print_json, print_message
from zoo.cli._progress import progress_bar
from zoo.errors import DataError
from zoo.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.inference import Predictor
    from zoo.workflows import Prediction


@click.command()
@click.argument("run", metavar="RUN|MODEL", shell_complete=complete_names("model"))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@model_options(batch_size=32)
@proposals_option
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="Likeliest classes to name; default: 5.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a picture of each answer there; no file that is there already is touched.",
)
@click.option(
    "--on-bad-image",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do with an image that cannot be read.",
)
@json_option
def predict(  # noqa: PLR0913  (its options)
    run: str,
    paths: tuple[str, ...],
    *,
    weights: str | None,
    top_k: int | None,
    save: Path | None,
    checkpoint: str,
    batch_size: int,
    device: str,
    precision: str,
    proposals: str | None,
    assignments: tuple[str, ...],
    on_bad_image: Literal["fail", "skip"],
    json_: bool,
) -> None:
    """Say what is on images: files, folders of them, packs, or quoted patterns ('photos/**/*.jpg').

    RUN answers with its best weights and its own preprocessing; a MODEL needs --weights.
    """
    with lasting_imports():
        from zoo import workflows
    from zoo.registry import default_registry

    images = workflows.collect_images(paths, message=print_message)
    predictor = workflows.open_predictor(
        run,
        weights=weights,
        checkpoint=checkpoint,
        device=device,
        precision=precision,
        registry=default_registry(),
        message=print_message,
        proposals=proposals,
        task_options=task_options(assignments) | ({} if top_k is None else {"top_k": top_k}),
    )
    found: list[Prediction] = []
    width = max(cell_len(str(image.path)) for image in images)
    with progress_bar("predicting", shown=json_ or not sys.stdout.isatty()) as progress:
        for prediction in workflows.predict(
            predictor,
            images,
            batch_size=batch_size,
            save=save,
            on_bad_image=on_bad_image,
            progress=progress,
        ):
            found.append(prediction)
            if prediction.fault:
                print_message(f"skipped {prediction.fault}")
            elif not json_:
                path = _padded(str(prediction.path), width)
                print_answer(f"{path}  {predictor.task.describe(prediction.answer)}")
    _check_any(found)
    if json_:
        print_json(_as_document(predictor, found))
    if save is not None:
        pictures = sum(len(p.pictures) for p in found)
        print_message(f"wrote {counted(pictures, 'picture')} to {save}")


def _check_any(found: Sequence[Prediction]) -> None:
    skipped = sum(bool(prediction.fault) for prediction in found)
    if skipped == len(found):
        raise DataError(f"no image could be read (of {skipped})")
    if skipped:
        print_message(f"skipped {skipped} of {counted(len(found), 'image')}")


def _as_document(predictor: Predictor, found: Sequence[Prediction]) -> dict[str, Any]:
    return {
        "model": predictor.record.model,
        "images": [_as_row(predictor, prediction) for prediction in found if not prediction.fault],
        "skipped": [{"path": str(p.path), "fault": p.fault} for p in found if p.fault],
    }


def _as_row(predictor: Predictor, prediction: Prediction) -> dict[str, Any]:
    pictures = {name: str(path) for name, path in prediction.pictures.items()}
    answer = predictor.task.as_json(prediction.answer)
    return {"path": os.fspath(prediction.path), **pictures, **answer}


def _padded(text: str, width: int) -> str:
    """Padded by what a terminal shows: wide letters take two cells."""
    return text + " " * (width - cell_len(text))
