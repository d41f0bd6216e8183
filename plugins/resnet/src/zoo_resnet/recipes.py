"""Ways to train the family: plain functions that return a part of the run's config, by section.

A recipe named after a source has every ingredient of it; what cannot be had is on a line "Differs
from the source".  Results are the sources' own, top-1 on ImageNet's validation set unless said.
"""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]

IMAGENET_STEPS_PER_EPOCH = 1252
"""1,281,167 images in batches of 1,024."""


# --- ours ------------------------------------------------------------------------------------


def small() -> Layer:
    """Some thousand small images, from scratch; the default.

    Small batches learn faster than large ones where an epoch has some fifty steps; residual blocks
    that start as identities stand the high rate of the one cycle.

    Command: ``zoo train resnet34`` (the embedded digits, 5 epochs of 32 px)
    Hardware: 2 CPU cores with bf16
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
            "undecayed": "norms_and_biases",
        },
        "schedule": {"name": "one_cycle", "peak_at": 0.2},
        "training": {"batch_size": 32},
    }


def small_photos() -> Layer:
    """Some hundred photos, from scratch, at 64 px.

    Photos are what is scarce, so that a network learns them by heart: strong augmentation, ten
    times the weight decay of ``small``, many epochs of small images, and the average of the weights
    is what is scored.

    Command: ``zoo train resnet18 --data photos/ --recipe small-photos``
    Hardware: 2 CPU cores with bf16, 5 minutes
    Result: 502 photos of dogs and cats, 101 of them held out: top-1 70.3, 79.2 and 76.2 % in the
    best epoch of three splits (chosen on those 101, so flattered; standard error 4.5 points each),
    67.3, 70.3 and 70.3 % in the last epoch
    """
    recipe = small()
    recipe["data"] = {"image_size": 64}
    recipe["transforms"] = {"auto_augment": "trivial", "scale": [0.35, 1.0]}
    recipe["optimizer"]["weight_decay"] = 5e-3
    recipe["training"] = {
        "batch_size": 32,
        "epochs": 130,
        "ema": {"decay": 0.92, "every_steps": 4},  # as long as 0.98 every step, and cheaper
    }
    return recipe


def fine_tune() -> Layer:
    """Published weights on new classes, the earlier a stage the slower it learns.

    The rates by stage, the optimizer and its one cycle are those of the ResNet tutorial of
    bentrevett/pytorch-image-classification (CUB-200 with ResNet-50).

    Command: ``zoo train resnet50 --data birds/ --recipe fine-tune --weights imagenet1k_v2``
    Hardware: one GPU, or a CPU and patience
    """
    return {
        "model": {"weights": "imagenet1k_v1"},
        "optimizer": {
            "name": "adam",
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "layer_rates": {
                "conv1": 1 / 10,
                "bn1": 1 / 10,
                "layer1": 1 / 8,
                "layer2": 1 / 6,
                "layer3": 1 / 4,
                "layer4": 1 / 2,
                "fc": 1.0,
            },
        },
        "schedule": {"name": "one_cycle", "peak_at": 0.3, "start": 1 / 25, "final": 1 / 25 / 1e4},
        "training": {"batch_size": 64, "epochs": 10},
    }


# --- He 2015, arXiv:1512.03385 ---------------------------------------------------------------


def he2015_imagenet() -> Layer:
    """ImageNet as in section 3.4: SGD at 0.1, divided by ten whenever the error stalls.

    Command: ``zoo train resnet34 --data imagenet --recipe he2015-imagenet``
    Hardware: 8 GPUs
    Result: ResNet-18 72.12, 34 (B) 75.48, 50 77.15, 101 78.25, 152 78.57 with ten crops
    Source: He 2015, arXiv:1512.03385, section 3.4; colours: Krizhevsky 2012, section 4.1
    Differs from the source: the mean is per channel, not per pixel; the paper does not say how
    long an error stalls, here 5 epochs; validation uses one crop.
    """
    return {
        "data": {"image_size": 224},
        "transforms": {
            "crop": "short-side",
            "short_side_px": [256, 480],
            "flip": 0.5,
            "lighting": 0.1,
        },
        "optimizer": _sgd(0.1, weight_decay=1e-4, undecayed="nothing"),
        "schedule": {"name": "plateau", "factor": 0.1, "patience": 5},
        "training": {"batch_size": 256, "epochs": 120, "max_steps": 600_000},
    }


def he2015_cifar() -> Layer:
    """CIFAR-10 as in section 4.2: 64,000 steps, the rate divided by ten at 32,000 and 48,000.

    ResNet-110 needs an epoch at a lower rate first, here from a tenth of it (the paper takes the
    tenth for some 400 steps): ``zoo train resnet110 --data cifar10 --download --recipe he2015-cifar
    --set schedule.warmup_epochs=1 --set schedule.warmup_from=0.1``.

    Command: ``zoo train resnet20 --data cifar10 --download --recipe he2015-cifar``
    Hardware: one GPU
    Result: CIFAR-10 test error of ResNet-20 8.75, 32 7.51, 44 7.17, 56 6.97, 110 6.61 +- 0.16
    Source: He 2015, arXiv:1512.03385, section 4.2
    Differs from the source: the mean is per channel, not per pixel.
    """
    return {
        "data": {"image_size": 32},
        # A random crop of the image padded by 4 px is a shift of up to 4 px.
        "transforms": {"crop": "none", "shift": 4 / 32, "flip": 0.5},
        "optimizer": _sgd(0.1, weight_decay=1e-4, undecayed="nothing"),
        "schedule": {
            "name": "step",
            "unit": "steps",
            "milestones": [32_000, 48_000],
            "gamma": 0.1,
        },
        "training": {"batch_size": 128, "epochs": 164, "max_steps": 64_000},
    }


# --- Goyal 2017, arXiv:1706.02677 ------------------------------------------------------------


def goyal2017() -> Layer:
    """ImageNet in an hour: batches of 8,192, the rate scaled with the batch, gradual warm-up.

    The rate is 0.1 for 256 images and scales linearly; over 5 epochs it climbs from 0.1.  Batch
    norms see 32 images at a time whatever the batch, and start at zero at the end of each block.
    For another batch size set ``schedule.warmup_from`` to 256 / batch.

    Command: ``zoo train resnet50 --data imagenet --recipe goyal2017 --gpus 8``
    Hardware: 256 P100 for an hour in the paper
    Result: ResNet-50 76.26 +- 0.09 (76.40 +- 0.12 with batches of 256)
    Source: Goyal 2017, arXiv:1706.02677, sections 2.2, 5.1 and table 1
    """
    return {
        "model": {"zero_init_residual": True, "fc_std": 0.01},
        "data": {"image_size": 224},
        "transforms": _inception_crops(),
        "optimizer": _sgd(
            0.1,
            scale_to_batch=256,
            nesterov=True,
            weight_decay=1e-4,
            undecayed="norms",
        ),
        "schedule": {
            "name": "step",
            "milestones": [30, 60, 80],
            "gamma": 0.1,
            "warmup_epochs": 5.0,
            "warmup_from": 256 / 8192,
        },
        "training": {"batch_size": 8192, "micro_batch_size": 32, "epochs": 90},
    }


# --- torchvision, references/classification --------------------------------------------------


def torchvision_v1() -> Layer:
    """What made torchvision's IMAGENET1K_V1: 90 epochs, the rate divided by ten every 30.

    Command: ``zoo train resnet50 --data imagenet --recipe torchvision-v1 --gpus 8``
    Hardware: 8 V100
    Result: ResNet-18 69.76, 34 73.31, 50 76.13, 101 77.37, 152 78.31
    Source: torchvision, references/classification, README, section ResNet
    """
    return {
        "data": {"image_size": 224},
        "transforms": {**_inception_crops(), "resize_px": 256, "interpolation": "bilinear"},
        "optimizer": _sgd(0.1, weight_decay=1e-4, undecayed="nothing"),
        "schedule": {"name": "step", "each": "epoch", "milestones": [30, 60], "gamma": 0.1},
        "training": {"batch_size": 256, "epochs": 90},
    }


def torchvision_v2() -> Layer:
    """What made torchvision's IMAGENET1K_V2: 600 epochs with all that the years had brought.

    torchvision's ``--model-ema-decay 0.99998`` is not the decay that is used: its script multiplies
    the distance from 1 by batch x steps / epochs = 1024 x 32 / 600.

    Command: ``zoo train resnet50 --data imagenet --recipe torchvision-v2 --gpus 8``
    Hardware: 8 V100
    Result: ResNet-50 80.86, 101 81.89, 152 82.28
    Source: torchvision, references/classification, vision#3995
    """
    return {
        "task": {"label_smoothing": 0.1},
        "data": {"image_size": 224, "repeats": 4},
        "transforms": {
            **_inception_crops(),
            "train_size_px": 176,
            "resize_px": 232,
            "interpolation": "bilinear",
            "auto_augment": "trivial",
            "erase": 0.1,
            "mixup": 0.2,
            "cutmix": 1.0,
        },
        "optimizer": _sgd(0.5, weight_decay=2e-5, undecayed="norms"),
        "schedule": {
            "name": "cosine",
            "each": "epoch",
            "from_epoch": 5.0,
            "warmup_epochs": 5.0,
            "warmup_from": 0.01,
        },
        "training": {
            "batch_size": 1024,
            "epochs": 600,
            "ema": {
                "decay": 1 - (1 - 0.99998) * 1024 * 32 / 600,
                "every_steps": 32,
                "warmup_steps": 5 * IMAGENET_STEPS_PER_EPOCH,
            },
        },
    }


# --- ResNet strikes back (Wightman 2021, arXiv:2110.00476) -----------------------------------


def rsb_a1() -> Layer:
    """ResNet strikes back, A1: 600 epochs.

    Command: ``zoo train resnet50 --data imagenet --recipe rsb-a1 --gpus 4``
    Hardware: 4 V100 of 32 GB for 4.6 days
    Result: ResNet-18 71.5, 34 76.4, 50 80.4, 101 81.5, 152 82.0
    Source: Wightman 2021, arXiv:2110.00476, table 2; timm's train script
    """
    recipe = _strikes_back(epochs=600, learning_rate=5e-3, weight_decay=0.01, mixup=0.2)
    recipe["task"]["label_smoothing"] = 0.1
    return recipe


def rsb_a2() -> Layer:
    """ResNet strikes back, A2: 300 epochs.

    Command: ``zoo train resnet50 --data imagenet --recipe rsb-a2 --gpus 4``
    Hardware: 4 V100 of 32 GB for 2.3 days
    Result: ResNet-18 70.6, 34 75.5, 50 79.8, 101 81.3, 152 81.8
    Source: Wightman 2021, arXiv:2110.00476, table 2; timm's train script
    """
    return _strikes_back(epochs=300, learning_rate=5e-3, weight_decay=0.02, mixup=0.1)


def rsb_a3() -> Layer:
    """ResNet strikes back, A3: 100 epochs at 160 px.

    Command: ``zoo train resnet50 --data imagenet --recipe rsb-a3 --gpus 4``
    Hardware: 4 V100 of 16 GB for 15 hours
    Result: ResNet-18 68.2, 34 73.0, 50 78.1, 101 79.8, 152 80.5
    Source: Wightman 2021, arXiv:2110.00476, table 2; timm's train script
    """
    recipe = _strikes_back(epochs=100, learning_rate=8e-3, weight_decay=0.02, mixup=0.1)
    recipe["model"]["drop_path"] = 0.0
    recipe["data"]["repeats"] = 1
    recipe["transforms"] |= {"train_size_px": 160, "auto_augment": "rand-m6-mstd0.5-inc1"}
    return recipe


def _strikes_back(*, epochs: int, learning_rate: float, weight_decay: float, mixup: float) -> Layer:
    """What A1 and A2 share; timm warms up from 1e-4 and ends at 1e-6, by the epoch."""
    return {
        "model": {"drop_path": 0.05, "zero_init_residual": True},
        "task": {
            "loss": "binary_cross_entropy",
            "label_smoothing": 0.0,
            "target_threshold": 0.2,
        },
        "data": {"image_size": 224, "repeats": 3},
        "transforms": {
            **_inception_crops(),
            "resize_px": 235,  # 224 px of it is a crop of 0.95
            "interpolation": "random",
            "eval_interpolation": "bicubic",
            "auto_augment": "rand-m7-mstd0.5-inc1",
            "mixup": mixup,
            "cutmix": 1.0,
        },
        "optimizer": {
            "name": "lamb",
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "undecayed": "norms_and_biases",
        },
        "schedule": {
            "name": "cosine",
            "each": "epoch",
            "final": 1e-6 / learning_rate,
            "warmup_epochs": 5.0,
            "warmup_from": 1e-4 / learning_rate,
        },
        "training": {"batch_size": 2048, "epochs": epochs},
    }


# --- shared ingredients ----------------------------------------------------------------------


def _sgd(learning_rate: float, **options: Any) -> dict[str, Any]:
    return {"name": "sgd", "momentum": 0.9, "learning_rate": learning_rate, **options}


def _inception_crops() -> dict[str, Any]:
    """Boxes of 8 to 100 % of the area and sides of 3:4 to 4:3, flipped half the time."""
    return {"crop": "photo", "scale": [0.08, 1.0], "ratio": [3 / 4, 4 / 3], "flip": 0.5}
