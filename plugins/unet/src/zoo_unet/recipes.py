"""Ways to train a U-Net: plain functions that return a part of the run's config, by section.

A recipe named after a source has every ingredient of it; what cannot be had is on a line "Differs
from the source".
"""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]


def unet() -> Layer:
    """Some hundred to some thousand images with masks, from scratch; the default."""
    return {
        "task": {"loss": "cross-entropy+dice"},
        "optimizer": {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2},
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"batch_size": 16, "epochs": 8},
    }


def unet_pretrained() -> Layer:
    """A published encoder on new classes; its own layers learn at a tenth of the rate."""
    recipe = unet()
    recipe["model"] = {"backbone_weights": "imagenet1k_v1"}
    recipe["optimizer"]["layer_rates"] = {"encoder": 0.1}
    return recipe


def ronneberger2015() -> Layer:
    """The paper's (section 3)."""
    return {
        "model": {"dropout": 0.5},
        "task": {"loss": "border"},
        "optimizer": {
            "name": "sgd",
            "momentum": 0.99,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
        },
        "schedule": {"name": "constant"},
        "training": {"batch_size": 1},
    }


def milesial() -> Layer:
    """The training script of milesial/Pytorch-UNet."""
    return {
        "task": {"loss": "cross-entropy+dice"},
        "transforms": {"crop": "none", "flip": 0.0},
        "optimizer": {
            "name": "rmsprop",
            "learning_rate": 1e-5,
            "momentum": 0.999,
            "weight_decay": 1e-8,
            "undecayed": "nothing",
        },
        "schedule": {"name": "plateau", "factor": 0.1, "patience": 5},
        "training": {"batch_size": 1, "epochs": 5, "clip_norm": 1.0, "monitor": "val/dice"},
    }
