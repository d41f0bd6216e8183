"""Ways to train the family, as functions that return a part of the run's config, by section."""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]


def small() -> Layer:
    """Some thousand small images from scratch in minutes on a CPU; the default.

    Command: ``zoo train resnet34``
    """
    return {
        "model": {"zero_init_residual": True},
        "task": {"label_smoothing": 0.1},
        "optimizer": {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": True,
            "learning_rate": 0.05,
            "weight_decay": 5e-4,
            "decay_norms_and_biases": False,
        },
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"batch_size": 32},
    }
