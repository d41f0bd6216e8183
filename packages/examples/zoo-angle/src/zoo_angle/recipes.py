"""How angles are learned.  Like the cards, read without torch."""

from typing import Any


def angle() -> dict[str, dict[str, Any]]:
    """AdamW with a cosine schedule, from scratch, on images of which half are mirrored.

    Command: ``zoo train anglenet``.  Result on the 500 held-out dials: a mean error of 4.6, 3.9 and
    4.3 degrees with the seeds 0, 1 and 2, in about 10 s on one core of a busy CPU.
    """
    return {
        "transforms": {"mirror": 0.5},
        "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.05},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 8, "batch_size": 32},
    }
