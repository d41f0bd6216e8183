"""How Tinynet is trained.  Like the cards, read without torch."""

from typing import Any


def tinynet() -> dict[str, dict[str, Any]]:
    """SGD with a cosine schedule, from scratch."""
    return {
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 20, "batch_size": 32},
    }
