"""What is known of a model, as the file tells it to whoever has the file alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from zoo.exporting._graph import INPUT

if TYPE_CHECKING:
    from zoo.data.transforms import Transforms
    from zoo.exporting._shape import InputShape
    from zoo.inference import ModelRecord

_FORMAT = 1
_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}


def describe(
    record: ModelRecord, transforms: Transforms, shape: InputShape, output: str
) -> dict[str, Any]:
    """Everything beside the graph, in values that JSON can hold.

    Args:
        record: of the weights.
        transforms: of their evaluation.
        shape: of the graph's input.
        output: the name of the graph's answer.
    """
    spec, resizing = record.input, transforms.resizing
    return {
        "format": _FORMAT,
        "model": record.model,
        "distribution": record.distribution,
        "version": record.version,
        "zoo_version": version("zoo-core"),
        "task": record.task,
        "classes": list(record.classes),
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "layout": "batch, channels, height, width",
            "colours": _COLOURS[spec.channels],
            **shape.describe(),
        },
        "resize": None
        if resizing is None
        else {"shorter_px": resizing.shorter_px, "interpolation": resizing.interpolation},
        "normalisation": {"inside": True, "mean": list(spec.mean), "std": list(spec.std)},
        "output": {"name": output},
        "metrics": dict(record.metrics),
        "weights": record.weights,
        "step": record.step,
        "epoch": record.epoch,
        "ema": record.ema,
    }
