"""Core's own cards, registered as the plugin named ``core``, and its default recipe."""

from __future__ import annotations

from typing import Any

from zoo.cards import CallbackCard, DatasetCard, MetricCard, RecipeCard, TaskCard
from zoo.hooks import hookimpl

CLASSIFICATION = "classification"
SEGMENTATION = "segmentation"
DETECTION = "detection"


@hookimpl
def zoo_tasks() -> list[TaskCard]:
    """Classification, segmentation and detection; plugins bring the others."""
    return [
        TaskCard(
            name=CLASSIFICATION,
            summary="one class for each image",
            factory="zoo.tasks:ClassificationTask",
            default_dataset="digits",
            recipe="default",
        ),
        TaskCard(
            name=SEGMENTATION,
            summary="one class for each pixel",
            factory="zoo.tasks:SegmentationTask",
            default_dataset="digit-scenes",
            recipe="default-segmentation",
        ),
        TaskCard(
            name=DETECTION,
            summary="a box and a class for each object",
            factory="zoo.tasks:DetectionTask",
            default_dataset="digit-boxes",
            recipe="default-detection",
        ),
    ]


@hookimpl
def zoo_datasets() -> list[DatasetCard]:
    """The embedded digits, and those that torchvision knows how to fetch."""
    whole = {"crop": "none"}  # small images of one size: no part of them is cut away
    small = {"data": {"image_size": 32}}
    upright = {"transforms": {**whole, "flip": 0.0, "shift": 1 / 16}}  # a mirrored 2 is no 2
    return [
        DatasetCard(
            name="digits",
            summary="1,797 handwritten digits of 8x8 px, grey; embedded",
            factory="zoo.data.builtin:digits",
            task=CLASSIFICATION,
            classes=10,
            license="CC BY 4.0",
            source="Alpaydin and Kaynak 1998, UCI, doi:10.24432/C50P49",
            settings={**small, **upright, "training": {"epochs": 5, "batch_size": 32}},
        ),
        DatasetCard(
            name="digit-scenes",
            summary="1,800 scenes of 64x64 px composed from the digits, with masks; embedded",
            factory="zoo.data.builtin:digit_scenes",
            task=SEGMENTATION,
            classes=11,
            license="CC BY 4.0",
            source="composed from digits: Alpaydin and Kaynak 1998, UCI, doi:10.24432/C50P49",
            settings={
                "data": {"image_size": 64},
                "transforms": {"crop": "none", "flip": 0.0},
                "training": {"epochs": 6, "batch_size": 16},
            },
        ),
        DatasetCard(
            name="digit-boxes",
            summary="1,800 scenes of 96x96 px composed from the digits, with boxes; embedded",
            factory="zoo.data.builtin:digit_boxes",
            task=DETECTION,
            classes=10,
            license="CC BY 4.0",
            source="composed from digits: Alpaydin and Kaynak 1998, UCI, doi:10.24432/C50P49",
            settings={
                "data": {"image_size": 96},
                "transforms": {"resize": "none", "scale": [1.0, 1.0], "flip": 0.0},
                "training": {"epochs": 4, "batch_size": 8},
            },
        ),
        _torchvision(
            "cifar10",
            "60,000 photos of 32x32 px",
            10,
            source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
            settings={**small, "transforms": {**whole, "shift": 1 / 8}},
        ),
        _torchvision(
            "cifar100",
            "60,000 photos of 32x32 px",
            100,
            source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
            settings={**small, "transforms": {**whole, "shift": 1 / 8}},
        ),
        _torchvision(
            "mnist",
            "70,000 handwritten digits of 28x28 px, grey",
            10,
            source="LeCun 1998, Gradient-Based Learning Applied to Document Recognition",
            settings={**small, **upright},
        ),
        _torchvision(
            "fashion-mnist",
            "70,000 pieces of clothing, 28x28 px, grey",
            10,
            license="MIT",
            source="Xiao 2017, arXiv:1708.07747",
            settings={**small, "transforms": {**whole, "shift": 1 / 16}},
        ),
        _torchvision(
            "oxford-pets",
            "7,349 photos of cats and dogs by breed",
            37,
            license="CC BY-SA 4.0",
            source="Parkhi 2012, Cats and Dogs",
        ),
        _torchvision(
            "flowers102",
            "8,189 photos of flowers",
            102,
            source="Nilsback 2008, Automated Flower Classification over a Large Number of Classes",
        ),
        _torchvision("food101", "101,000 photos of dishes", 101, source="Bossard 2014, Food-101"),
        _torchvision(
            "imagenet",
            "1.28 million photos of ILSVRC 2012; obtained by request, not downloaded",
            1000,
            source="Russakovsky 2015, arXiv:1409.0575",
            download=False,
        ),
    ]


@hookimpl
def zoo_metrics() -> list[MetricCard]:
    """The metrics of classification, segmentation and detection."""
    return [
        MetricCard(
            name="accuracy",
            summary="label among the k likeliest classes",
            factory="zoo.metrics:Accuracy",
            task=CLASSIFICATION,
            keys=("top1", "top5"),
        ),
        MetricCard(
            name="class-scores",
            summary="precision, recall and F1 of each class",
            factory="zoo.metrics:ClassScores",
            task=CLASSIFICATION,
            keys=("macro_precision", "macro_recall", "macro_f1"),
        ),
        MetricCard(
            name="confusion-matrix",
            summary="how often each class was taken for each other, and Cohen's kappa",
            factory="zoo.metrics:ConfusionMatrix",
            task=CLASSIFICATION,
            keys=("cohen_kappa",),
        ),
        MetricCard(
            name="calibration-error",
            summary="how far scores are from the truth (Guo 2017, arXiv:1706.04599)",
            factory="zoo.metrics:CalibrationError",
            task=CLASSIFICATION,
            keys=("ece",),
        ),
        MetricCard(
            name="region-scores",
            summary="IoU and Dice of each class, and pixel accuracy",
            factory="zoo.metrics:RegionScores",
            task=SEGMENTATION,
            keys=("miou", "mdice", "miou_foreground", "mdice_foreground", "pixel_accuracy"),
        ),
        MetricCard(
            name="boundary-scores",
            summary="how well outlines agree (Csurka 2013)",
            factory="zoo.metrics:BoundaryScores",
            task=SEGMENTATION,
            keys=("boundary_f1",),
        ),
        MetricCard(
            name="rand-score",
            summary="how well segments agree as wholes (ISBI 2012); needs zoo-core[segmentation]",
            factory="zoo.metrics:RandScore",
            task=SEGMENTATION,
            keys=("rand_score",),
        ),
        MetricCard(
            name="box-precision",
            summary="average precision and recall of boxes (Lin 2014, arXiv:1405.0312)",
            factory="zoo.metrics:BoxPrecision",
            task=DETECTION,
            keys=(
                *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
                *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
            ),
        ),
        MetricCard(
            name="voc-precision",
            summary="average precision at 11 recalls (Pascal VOC 2007)",
            factory="zoo.metrics:VOCPrecision",
            task=DETECTION,
            keys=("voc07_ap50",),
        ),
    ]


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """What trains a model whose author names no recipe."""
    return [
        RecipeCard(
            name="default",
            summary="folders of some hundred to some thousand photos",
            factory="zoo.builtin:default_recipe",
            task=CLASSIFICATION,
        ),
        RecipeCard(
            name="default-segmentation",
            summary="folders of some ten to some thousand images with masks",
            factory="zoo.builtin:default_segmentation_recipe",
            task=SEGMENTATION,
        ),
        RecipeCard(
            name="default-detection",
            summary="folders of some hundred to some thousand images with boxes",
            factory="zoo.builtin:default_detection_recipe",
            task=DETECTION,
        ),
    ]


@hookimpl
def zoo_callbacks() -> list[CallbackCard]:
    """Callbacks beside those that every run has."""
    return [
        CallbackCard(
            name="tensorboard",
            summary="curves for TensorBoard; needs zoo-core[tensorboard]",
            factory="zoo.reporting:TensorBoard",
        )
    ]


def default_recipe() -> dict[str, dict[str, Any]]:
    """SGD on random crops of photos, for any model.

    In training, a crop of 50 to 100 % of the image's area, mirrored in half of the cases; in
    evaluation, the shorter side resized as the model's card says (256 px for 224) and a centre
    crop.  Both are normalised by the card's mean and standard deviation.

    Command: ``zoo train MODEL --data FOLDER --recipe default``.
    """
    return {
        "transforms": {"crop": "photo", "scale": [0.5, 1.0], "flip": 0.5},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 20, "batch_size": 32},
    }


def default_segmentation_recipe() -> dict[str, dict[str, Any]]:
    """AdamW on random crops of images with masks, for any model.

    In training, the image is enlarged or reduced by a factor of 0.75 to 1.5, cropped, mirrored in
    half of the cases, and changed a little in brightness, contrast and saturation; the loss is
    cross-entropy and Dice.  An evaluation sees whole images at their own size.

    Command: ``zoo train MODEL --data FOLDER --recipe default-segmentation``.
    """
    return {
        "task": {"loss": "cross_entropy+dice"},
        "transforms": {"crop": "random", "scale": [0.75, 1.5], "flip": 0.5, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 50, "batch_size": 8, "clip_norm": 1.0},
    }


def default_detection_recipe() -> dict[str, dict[str, Any]]:
    """AdamW on whole images with boxes, for any model.

    In training, the image is enlarged or reduced by a factor of 0.75 to 1.33, mirrored in half of
    the cases, and changed a little in brightness, contrast and saturation.

    Command: ``zoo train MODEL --data FOLDER --recipe default-detection``.
    """
    return {
        "transforms": {"scale": [0.75, 1.33], "flip": 0.5, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-2},
        "schedule": {"name": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 30, "batch_size": 4, "clip_norm": 5.0},
    }


def _torchvision(
    name: str,
    summary: str,
    classes: int,
    *,
    source: str,
    license: str = "",  # noqa: A002 (the card's own word)
    download: bool = True,
    settings: dict[str, dict[str, Any]] | None = None,
) -> DatasetCard:
    """A data set that torchvision reads."""
    return DatasetCard(
        name=name,
        summary=summary,
        factory="zoo.data.builtin:torchvision_splits",
        options={"name": name},
        task=CLASSIFICATION,
        classes=classes,
        license=license,
        source=source,
        download=download,
        settings=settings or {},
    )
