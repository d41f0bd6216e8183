"""Assemble the objects for one verb; no algorithm."""

from zoo.workflows._train import TrainResult, plan_training, run_training, train

__all__ = ["TrainResult", "plan_training", "run_training", "train"]
