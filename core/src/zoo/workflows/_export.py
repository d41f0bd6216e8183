"""Export a run, or a model with weights, to a file that needs no zoo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from zoo.cards import FIXED_SIZE, NO_EXPORT, ModelCard
from zoo.data.sources import open_source
from zoo.errors import ExportError, UsageError, ZooError
from zoo.exporting import check_output, choose_shape, export_model
from zoo.inference import Predictor
from zoo.registry import default_registry
from zoo.wording import to_nobody
from zoo.workflows._evaluate import data_settings, default_data, split_of
from zoo.workflows._open import is_run, open_predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.exporting import ExportedFile, ImageSize
    from zoo.inference import ModelRecord
    from zoo.registry import Registry
    from zoo.structures import Sample

_REAL_IMAGES = 4
"""Of the validation split, to compare with."""


def export(  # noqa: PLR0913  (what a user may choose)
    model: str | Path,
    output: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - as the option is called
    weights: str | None = None,
    checkpoint: str = "best",
    image_size: ImageSize | None = None,
    batch_size: int | Literal["dynamic"] = "dynamic",
    data: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    message: Callable[[str], None] | None = None,
) -> ExportedFile:
    """Write a model as a file for other programs, as ``zoo export`` does.

    The file is written only if its answers equal the model's, on images of the validation split
    where they can be read, and on random ones.

    >>> import zoo
    >>> exported = zoo.export("runs/pets", "pets.pt2")
    >>> exported.about["classes"], exported.parity.difference < 1e-4
    (['cat', 'dog'], True)

    Args:
        model: a run folder; or a model's name, with ``weights``.
        output: the file, which must not exist.
        format: "onnx" or "pt2"; default: by the file's suffix.
        weights: a published set's name, or a .safetensors or .pth file.
        checkpoint: of a run: "best", "last" or "step-N".
        image_size: px of a square, (height, width), or "dynamic", where the model takes images of
            any size; default: dynamic there, else the size of the run.
        batch_size: images of a call, or "dynamic".
        data: whose validation images are compared; default: the data of the run.
        task_options: replace those of the run.
        registry: default: everything that is installed.
        message: told what a person should know; default: nobody.

    Raises:
        ExportError: the model cannot be exported, or the graph answers otherwise.
        StorageError: the file cannot be written.
        UsageError: the model, weights or format do not exist, or the file does.
    """
    registry, message = registry or default_registry(), message or to_nobody
    path = Path(output)
    format_ = check_output(path, format)
    run = None if weights or not is_run(model) else Path(model)
    if run is None and weights:
        _check_traceable(str(model), registry)  # before the weights are fetched
    predictor = open_predictor(
        model,
        weights=weights,
        checkpoint=checkpoint,
        device="cpu",
        precision="fp32",
        task_options=task_options,
        registry=registry,
        message=message,
    )
    _check_traceable(predictor.record.model, registry)
    _check_size(predictor.record, image_size, registry)
    shape = choose_shape(
        predictor.model,
        predictor.transforms,
        predictor.record.input,
        image_size=image_size,
        batch_size=None if batch_size == "dynamic" else batch_size,
    )
    if shape.size_px is not None and predictor.transforms.fill is None:
        predictor = _at(predictor, shape.size_px[0])
    samples = _validation_images(run, data, predictor.record, registry, message)
    return export_model(predictor, path, format_, shape, samples=samples, message=message)


def _check_traceable(model: str, registry: Registry) -> None:
    """See by its card whether a model needs no trying.

    Raises:
        ExportError: it says that torch cannot trace the model.
    """
    entry = registry.get("model", model)
    if NO_EXPORT in cast(ModelCard, entry.card).tags:
        raise ExportError(
            f"{entry.full_name} cannot be exported, says its plugin ({entry.distribution}): torch"
            " cannot trace it, as with most detectors, whose boxes are as many as they find",
            "Deploy it with zoo: zoo.load_run(RUN) answers in any Python program.",
        )


def _check_size(record: ModelRecord, image_size: object, registry: Registry) -> None:
    """Refuse another size than the only one that a model takes.

    Raises:
        UsageError: names it.
    """
    tags = cast(ModelCard, registry.get("model", record.model).card).tags
    if FIXED_SIZE in tags and image_size not in (None, record.input.size_px):
        raise UsageError(
            f"{record.model} takes images of {record.input.size_px} px alone",
            "Leave --image-size out.",
        )


def _at(predictor: Predictor, size_px: int) -> Predictor:
    """The predictor for squares of a size; what was measured at another size is no longer known."""
    record = predictor.record
    if size_px == record.input.size_px:
        return predictor
    return Predictor(
        predictor.model,
        predictor.task,
        replace(record, input=record.input.at(size_px=size_px), metrics={}),
        device=predictor.device,
        precision=predictor.precision,
    )


def _validation_images(
    run: Path | None,
    data: str | None,
    record: ModelRecord,
    registry: Registry,
    message: Callable[[str], None],
) -> Sequence[Sample]:
    """A few images, evenly over the split; none where nobody has them: random ones must do."""
    if run is None and data is None:
        return []
    settings = data_settings(run, data, {})
    try:
        source = open_source(
            settings.source or default_data(record, registry),
            registry=registry,
            data=settings,
            channels=record.in_channels,
            message=to_nobody,
        )
        split = split_of(source, "val")
        count = min(_REAL_IMAGES, len(split))
        return [split.load(at * len(split) // count) for at in range(count)]
    except ZooError as error:
        if data is not None:
            raise
        message(f"compared on random images alone, without the run's own: {error.cause}")
        return []
