"""Fit any model to any task, exactly resumable."""

from zoo.training._events import Callback, FitResult, Progress

__all__ = ["Callback", "FitResult", "Progress"]
