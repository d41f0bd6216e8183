"""Fit any model to any task, exactly resumable."""

from zoo.training._events import Callback, FitResult, Progress
from zoo.training._inputs import Destination, TrainingData, monitored
from zoo.training._optimizers import build_optimizer, optimizer_defaults, optimizer_options
from zoo.training._schedules import Schedule, build_curve, depends_on_length
from zoo.training._snapshot import seed_everything
from zoo.training._state import RunState
from zoo.training._trainer import Trainer

__all__ = [
    "Callback",
    "Destination",
    "FitResult",
    "Progress",
    "RunState",
    "Schedule",
    "Trainer",
    "TrainingData",
    "build_curve",
    "build_optimizer",
    "depends_on_length",
    "monitored",
    "optimizer_defaults",
    "optimizer_options",
    "seed_everything",
]
