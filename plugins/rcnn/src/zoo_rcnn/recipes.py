"""Ways to train a detector: plain functions that return a part of the run's config, by section.

A recipe named after a source has every ingredient of it; what cannot be had, or is not said there,
is on a line "Differs from the source".
"""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]


# --- ours ------------------------------------------------------------------------------------


def roi_small() -> Layer:
    """Some hundred to some thousand small images, from scratch; regions come from outside.

    Command: ``zoo train fast_rcnn --data FOLDER --set model.backbone=timm:convnext_tiny``
    Hardware: a GPU
    """
    return {
        "data": {"image_size": 320},
        "transforms": {"scale": [0.75, 1.33], "flip": 0.5, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"epochs": 40, "batch_size": 8, "clip_norm": 5.0},
    }


def rcnn_small() -> Layer:
    """``roi-small`` with regions warped to 32 px, and a ResNet up to the stage of stride 16.

    The next stage would see 32 px as one cell.  An evaluation looks at every region and takes as
    long as an epoch or two, so that there is one in ten epochs, and one at the end.

    Command: ``zoo train rcnn_resnet18`` (the embedded scenes of digits)
    Hardware: 2 CPU cores with bf16
    Measured: AP50 0.990, AP 0.784 in 2 m 12 s; two threads, nothing beside, one run
    """
    recipe = roi_small()
    recipe["model"] = {
        "stage": "layer3",
        "region_px": 32,
        "context_px": 4,
        "samples": 16,
        "chunk": 256,
    }
    recipe["training"]["eval_every"] = 10
    return recipe


def single_map_small() -> Layer:
    """``roi-small`` with regions pooled from a ResNet's map of stride 4, and a narrow head.

    Objects of 12 to 48 px: a cell sees 43 px, and 7 x 7 cells lie under a region of 28.

    Command: ``zoo train fast_rcnn_resnet18`` (the embedded scenes of digits)
    Hardware: 2 CPU cores with bf16
    Measured: AP50 0.990, AP 0.751 in 1 m 21 s; ``spp_net_resnet18`` AP50 0.996, AP 0.711 in
    1 m 28 s; two threads, nothing beside, one run each
    """
    recipe = roi_small()
    recipe["model"] = {"stage": "layer1", "head_width": 256}
    return recipe


def faster_rcnn_small() -> Layer:
    """``single-map-small`` with anchors of 12, 24 and 48 px, and fewer regions.

    Command: ``zoo train faster_rcnn_resnet18`` (the embedded scenes of digits)
    Hardware: 2 CPU cores with bf16
    Measured: AP50 0.996, AP 0.866 in 1 m 47 s; two threads, nothing beside, one run
    """
    recipe = single_map_small()
    recipe["model"] |= {
        "anchor_sizes": [12, 24, 48],
        "proposals_train": 200,
        "proposals_test": 50,
    }
    return recipe


def fpn_small() -> Layer:
    """``roi-small`` with small anchors on a narrow pyramid, and fewer regions.

    Anchors of 12 px at the finest level to 192 px at the coarsest.

    Command: ``zoo train faster_rcnn_resnet18_fpn`` (the embedded scenes of digits)
    Hardware: 2 CPU cores with bf16
    Measured: AP50 0.995, AP 0.854 in 2 m 25 s; two threads, nothing beside, one run.  On BCCD's
    test list AP50 0.909, AP 0.583, with ``--image-size 320 --epochs 16 --batch-size 4``;
    20 m 24 s of one thread (load 5), one run
    """
    recipe = roi_small()
    recipe["model"] = {
        "anchor_sizes": [12, 24, 48, 96, 192],
        "fpn_channels": 64,
        "head_width": 256,
        "proposals_train": 200,
        "proposals_test": 100,
        "samples": 64,
    }
    return recipe


# --- the sources -----------------------------------------------------------------------------


def girshick2015() -> Layer:
    """Fast R-CNN as in the paper: 2 images x 64 regions a step, whole images of 600 px.

    40,000 steps on the 5,011 images of VOC 2007's trainval are 16 epochs; the rate falls after
    three quarters of them.

    Command: ``zoo train fast_rcnn_resnet50 --data VOC2007/ --recipe girshick2015``
    Hardware: one GPU
    Result: VOC 2007 test: mAP 0.669 with VGG16
    Source: Girshick 2015, arXiv:1504.08083, sections 2.3, 2.4 and 3
    Differs from the source: the backbone is a ResNet and all of it learns, there VGG16 from its
    third stage on; fc6 and fc7 are narrower and without dropout; biases learn at the rate of the
    weights, there at twice it, and do not decay (in the authors' code neither, though the paper
    says so).
    """
    return {
        "data": {"proposals": "selective-search", "proposals_limit": 2000},
        "model": {"norm": "frozen", "backbone_weights": "imagenet1k_v1"},
        "transforms": {
            "resize": "short-side",
            "short_side_px": 600,
            "long_side_px": 1000,
            "flip": 0.5,
        },
        "optimizer": {
            "name": "sgd",
            "learning_rate": 1e-3,
            "momentum": 0.9,
            "weight_decay": 5e-4,
        },
        "schedule": {"name": "step", "milestones": [12]},
        "training": {"batch_size": 2, "epochs": 16},
    }


def torchvision_coco() -> Layer:
    """torchvision's detection reference: 26 epochs of COCO, a tenth of the rate after 16 and 22.

    A warm-up of 1,000 of the 7,330 steps of the first epoch; batch norms are constants, and the
    first two of a ResNet's five stages do not learn.

    Command: ``zoo train faster_rcnn_resnet50_fpn --data coco/ --recipe torchvision-coco``
    Hardware: 8 GPUs
    Result: COCO val2017: AP 0.370 with ResNet-50
    Source: torchvision, references/detection
    Differs from the source: a batch holds neighbours by width / height, there images of one of
    eight groups; images without objects are learned from, there left out.
    """
    return {
        "model": {
            "norm": "frozen",
            "backbone_weights": "imagenet1k_v1",
            "freeze": ["backbone.body.conv1", "backbone.body.layer1"],
        },
        "transforms": {
            "resize": "short-side",
            "short_side_px": 800,
            "long_side_px": 1333,
            "flip": 0.5,
        },
        "optimizer": {
            "name": "sgd",
            "learning_rate": 0.02,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "undecayed": "nothing",
        },
        "schedule": {
            "name": "step",
            "milestones": [16, 22],
            "warmup_epochs": 1000 / 7330,
            "warmup_from": 1e-3,
        },
        "training": {"batch_size": 16, "epochs": 26},
    }
