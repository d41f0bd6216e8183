"""Save and restore the whole state of a run, and read published weights; without pickle."""

from zoo.checkpoint._fitting import WeightsReport, load_weights
from zoo.checkpoint._pretrained import (
    class_names,
    fetch_weights,
    read_weights,
    resolve_weights,
)
from zoo.checkpoint._state import (
    Checkpoint,
    best_weights_sha256,
    latest_checkpoint,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    step_folders,
)

__all__ = [
    "Checkpoint",
    "WeightsReport",
    "best_weights_sha256",
    "class_names",
    "fetch_weights",
    "latest_checkpoint",
    "load_best",
    "load_checkpoint",
    "load_weights",
    "read_weights",
    "resolve_weights",
    "save_best",
    "save_checkpoint",
    "step_folders",
]
