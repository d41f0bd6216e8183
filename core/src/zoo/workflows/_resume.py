"""What a resume may change, and what must be as it was."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.config import Layer
from zoo.data.datasets import Source
from zoo.errors import ConfigError, DataError
from zoo.runs import RunFolder
from zoo.training import depends_on_length
from zoo.wording import counted
from zoo.workflows._plan import RunPlan

DATA_RECORD = "data.json"
"""The file of a run that says which image is in which split."""

MAY_CHANGE = (
    "data.source",
    "data.proposals",
    "data.workers",
    "machine.device",
    "machine.gpus",
    "training.epochs",
    "training.micro_batch_size",
    "training.time_limit_s",
)
"""What a resume may be told anew."""


def check_changes(layer: Layer) -> None:
    for section, keys in layer.values.items():
        for key in keys if isinstance(keys, Mapping) else ("",):
            name = f"{section}.{key}".rstrip(".")
            if name not in MAY_CHANGE:
                raise ConfigError(
                    f"{name} ({layer.origin}) cannot change on resume",
                    f"Only {', '.join(MAY_CHANGE)} can; for anything else start a new run.",
                )


def check_length(plan: RunPlan, epochs_before: int) -> None:
    """More epochs only where the steps so far would have been the same."""
    config = plan.config
    if config.training.epochs != epochs_before and depends_on_length(config):
        raise ConfigError(
            f"training.epochs cannot change: the schedule {config.schedule.name} would have had"
            " other learning rates from the start",
            f"Resume with {counted(epochs_before, 'epoch')}, or start a new run.",
        )


def check_same_data(folder: RunFolder, source: Source) -> None:
    difference = source.first_difference(folder.read_json(DATA_RECORD))
    if difference:
        raise DataError(
            f"{source.name} is not the data that {folder.path} was trained on: {difference}",
            "Give the place of the same data with --data, or start a new run.",
        )
