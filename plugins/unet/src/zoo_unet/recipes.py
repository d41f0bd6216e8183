"""Ways to train a U-Net: plain functions that return a part of the run's config, by section.

A recipe named after a source has every ingredient of it; what cannot be had, or is not said there,
is on a line "Differs from the source".
"""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]


# --- ours ------------------------------------------------------------------------------------


def unet() -> Layer:
    """Some ten to some thousand images with masks, from scratch; the default.

    Dice beside cross-entropy, so that classes of few pixels count as much as large ones; random
    crops at up to half and twice the size, mirrored half of the time.

    Command: ``zoo train unet_small`` (the embedded scenes of digits, 6 epochs of 64 px)
    Hardware: 2 CPU cores with bf16
    Measured: mIoU 0.890, 0.653 after half of it, one run; an epoch costs 18 s of one thread
    """
    return {
        "task": {"loss": "cross_entropy+dice"},
        "transforms": {"crop": "random", "scale": [0.5, 2.0], "flip": 0.5},
        "optimizer": {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2},
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"batch_size": 16, "epochs": 60, "clip_norm": 1.0},
    }


def paper_tiles() -> Layer:
    """``unet`` for valid convolutions: crops of 388 px, seen with the 92 px around them.

    Command: ``zoo train unet_paper --data scans/ --recipe paper-tiles``
    Hardware: one GPU
    """
    recipe = unet()
    recipe["data"] = {"image_size": 388}
    recipe["transforms"]["context_px"] = 92
    recipe["optimizer"]["learning_rate"] = 5e-4  # without batch norm
    recipe["training"]["batch_size"] = 4
    return recipe


def unet_pretrained() -> Layer:
    """A published encoder on new classes: its layers learn at a tenth of the rate of the new ones.

    Command: ``zoo train unet_resnet34 --data scans/ --recipe unet-pretrained``
    Hardware: one GPU, or a CPU and patience
    """
    recipe = unet()
    recipe["model"] = {"backbone_weights": "imagenet1k_v1"}
    recipe["optimizer"] |= {"learning_rate": 1e-3, "layer_rates": {"encoder": 1 / 10}}
    return recipe


def membranes() -> Layer:
    """Thin borders between cells in some ten large grey slices, from scratch.

    Slices have no right way up, so that crops are turned and mirrored as well as bent, the paper's
    elastic deformation.

    Command: ``zoo train unet_small --data membrane/ --recipe membranes --epochs 50``
    Hardware: 2 CPU cores with bf16
    Measured: on ISBI 2012, the last 6 of 30 slices held out: pixel accuracy 0.920, Dice of the
        membranes 0.795, after 300 steps; 14 m 46 s beside other programs (load 12), one run
    """
    return {
        "task": {"loss": "cross_entropy+dice"},
        "data": {"image_size": 256},
        "transforms": {
            "crop": "random",
            "scale": [0.8, 1.25],
            "elastic_px": 10.0,
            "quarter_turns": True,
            "flip": 0.5,
            "jitter": 0.2,
        },
        "optimizer": {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2},
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"batch_size": 4, "epochs": 80, "eval_every": 10, "clip_norm": 1.0},
    }


# --- the sources -----------------------------------------------------------------------------


def ronneberger2015() -> Layer:
    """The paper's: one large tile a step, high momentum, border weights, elastic deformation.

    A step sees one tile of 572 px and answers for its 388 px in the middle.  Pixels between cells
    that nearly touch weigh up to 10 more (w0 10, sigma 5 px); displacements of 10 px on a grid of 3
    by 3 points bend each tile, turned by any angle.

    Command: ``zoo train unet_paper --data membrane/ --recipe ronneberger2015``
    Hardware: an NVIDIA Titan (6 GB) for 10 hours in the paper
    Result: ISBI 2012 EM segmentation: warping error 0.000353, Rand error 0.0382, pixel error 0.0611
        (mean over 7 rotations of the input)
    Source: Ronneberger 2015, arXiv:1505.04597, sections 2 to 4
    Differs from the source: it says neither learning rate, length of training, rate of dropout nor
    how much grey values vary; here 0.001, 300 epochs, 0.5 and 10 %.  An image gets one answer, not
    the mean over seven rotations.
    """
    return {
        "model": {"dropout": 0.5},
        "task": {"loss": "border", "border_weight": 10.0, "border_sigma_px": 5.0},
        "data": {"image_size": 388},
        "transforms": {
            "crop": "random",
            "context_px": 92,
            "elastic_px": 10.0,
            "elastic_grid": 3,
            "rotate_deg": 180.0,
            "flip": 0.0,
            "jitter": 0.1,
        },
        "optimizer": {
            "name": "sgd",
            "momentum": 0.99,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
        },
        "schedule": {"name": "constant"},
        "training": {"batch_size": 1, "epochs": 300},
    }


def milesial() -> Layer:
    """The training script of milesial/Pytorch-UNet: RMSprop on whole images, one a step.

    Command: ``zoo train unet --data carvana/ --recipe milesial``
    Hardware: one GPU
    Result: Carvana (5,000 training images): Dice 0.9884 on over 100,000 test images
    Source: milesial/Pytorch-UNet, train.py and README
    Differs from the source: Dice is taken of each image and class, not of the whole batch; the rate
    falls when val/mdice_foreground has not risen for 6 epochs, there for 6 evaluations, of which an
    epoch has five; images are taken at their own size, there at half of it (resize them first).
    """
    return {
        "task": {"loss": "cross_entropy+dice"},
        "data": {"val_fraction": 0.1},
        "transforms": {"crop": "none", "flip": 0.0},
        "optimizer": {
            "name": "rmsprop",
            "learning_rate": 1e-5,
            "momentum": 0.999,
            "weight_decay": 1e-8,
            "undecayed": "nothing",
        },
        "schedule": {"name": "plateau", "factor": 0.1, "patience": 5},
        "training": {
            "batch_size": 1,
            "epochs": 5,
            "clip_norm": 1.0,
            "monitor": "val/mdice_foreground",
        },
    }
