"""Ways to train a detector: plain functions that return a part of the run's config, by section.

A recipe named after a source has every ingredient of it; what cannot be had, or is not said there,
is on a line "Differs from the source".
"""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]


# --- ours ------------------------------------------------------------------------------------


def rcnn_small() -> Layer:
    """Some hundred to some thousand small images, from scratch; the default.

    Command: ``zoo train fast_rcnn_resnet18`` (the embedded scenes of digits)
    Hardware: 2 CPU cores
    """
    return {
        "data": {"image_size": 320},
        "transforms": {"scale": [0.75, 1.33], "flip": 0.5, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"epochs": 40, "batch_size": 8, "clip_norm": 5.0},
    }


def faster_rcnn_small() -> Layer:
    """``rcnn-small`` with anchors of 16, 32 and 64 px on one map.

    Command: ``zoo train faster_rcnn_resnet18`` (the embedded scenes of digits)
    Hardware: 2 CPU cores
    """
    recipe = rcnn_small()
    recipe["model"] = {"anchor_sizes": [16, 32, 64], "head_width": 256}
    return recipe


def fpn_small() -> Layer:
    """``rcnn-small`` with small anchors on a narrow pyramid, and fewer regions.

    Anchors of 12 px at the finest level to 192 px at the coarsest.

    Command: ``zoo train faster_rcnn_resnet18_fpn`` (the embedded scenes of digits)
    Hardware: 2 CPU cores
    """
    recipe = rcnn_small()
    recipe["model"] = {
        "anchor_sizes": [12, 24, 48, 96, 192],
        "fpn_channels": 64,
        "head_width": 256,
        "proposals_train": 200,
        "proposals_test": 100,
        "samples": 64,
    }
    return recipe
