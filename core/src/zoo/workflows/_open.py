"""What the first word of eval and predict means: a run, or a model with weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.cards import ModelCard
from zoo.errors import RunFolderError, UnknownNameError, UsageError, did_you_mean
from zoo.inference import Predictor, load_model, load_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.registry import Registry


def is_run(model: str | Path) -> bool:
    """Whether this is a path of the disk, and not a model's name."""
    return isinstance(model, Path) or Path(model).exists()


def open_predictor(
    model: str | Path | Predictor,
    *,
    weights: str | None,
    checkpoint: str,
    device: str,
    precision: str,
    registry: Registry,
    message: Callable[[str], None],
    task_options: Mapping[str, Any] | None = None,
) -> Predictor:
    """The predictor of a run, or of a model with weights; it says when memory is short.

    Raises:
        UsageError: it is neither, or weights are missing; says what there is.
    """
    if isinstance(model, Predictor):
        predictor = model
    elif weights is not None:
        predictor = load_model(
            str(model),
            weights,
            device=device,
            precision=precision,
            task_options=task_options,
            registry=registry,
            message=message,
        )
    elif is_run(model):
        predictor = load_run(
            model,
            checkpoint=checkpoint,
            device=device,
            precision=precision,
            task_options=task_options,
            registry=registry,
            warn=message,
        )
    else:
        raise _neither(str(model), registry)
    predictor.micro_batch.message = message
    return predictor


def _neither(name: str, registry: Registry) -> UsageError:
    try:
        card = cast("ModelCard", registry.get("model", name).card)
    except UnknownNameError:
        near = did_you_mean(name, [entry.card.name for entry in registry.entries("model")])
        hint = f" For the model {near[0]}, give --weights too." if near else ""
        return RunFolderError(
            f"there is no folder {name}",
            f"A run is a folder that `zoo train` made; the default place is runs/.{hint}",
        )
    published = ", ".join(weights.name for weights in card.weights)
    return UsageError(
        f"{name} is a model, and has no weights until they are named",
        f"Give --weights with {published + ', or ' if published else ''}a file; or give a run.",
    )
