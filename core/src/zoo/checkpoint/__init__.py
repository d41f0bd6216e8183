"""Save and restore the whole state of a run, and read published weights; without pickle."""

from zoo.checkpoint._state import (
    Checkpoint,
    latest_checkpoint,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    step_folders,
)

__all__ = [
    "Checkpoint",
    "latest_checkpoint",
    "load_best",
    "load_checkpoint",
    "save_best",
    "save_checkpoint",
    "step_folders",
]
