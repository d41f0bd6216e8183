"""What is done to images of a classifier, for training and for evaluation, in two stages.

The default for photos is the pair of the notes: a random crop of 0.5 to 1.0 of the area, flipped
half of the time, and normalised; for evaluation, a resize of the shorter side and a centre crop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from zoo.cards import InputSpec
from zoo.data.transforms._auto_augment import build_policy
from zoo.data.transforms._batch_stage import BatchStage
from zoo.data.transforms._sample_stage import SampleStage
from zoo.data.transforms._transforms import Resizing, Transforms
from zoo.errors import ConfigError


def image_transforms(  # noqa: PLR0913  (these are the options of [transforms])
    *,
    train: bool,
    spec: InputSpec,
    seed: int,
    num_classes: int,
    crop: Literal["photo", "short-side", "none"] = "photo",
    scale: tuple[float, float] = (0.5, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    short_side_px: tuple[int, int] = (256, 480),
    flip: float = 0.5,
    shift: float = 0.0,
    auto_augment: str | None = None,
    lighting: float = 0.0,
    erase: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    train_size_px: int | None = None,
    resize_px: int | None = None,
    interpolation: Literal["bilinear", "bicubic", "random"] | None = None,
    eval_interpolation: Literal["bilinear", "bicubic"] | None = None,
) -> Transforms:
    """Both stages for a split.

    Args:
        train: augment; otherwise only ``crop``, ``resize_px`` and ``interpolation`` count.
        spec: the size, channels, mean and std that the model wants.
        seed: of the run; with a sample's key it decides everything random.
        num_classes: of the labels.
        crop: "photo" for images of any size: random resized crops in training, resize and centre
            crop in evaluation. "short-side" trains on square crops of images whose shorter side
            is drawn from ``short_side_px`` (Simonyan 2014, arXiv:1409.1556). "none" for images
            that are all of one size: they are resized as a whole, on the device, and need no
            loader processes.
        scale: least and greatest share of the image's area in a random crop.
        ratio: least and greatest width / height of a random crop.
        short_side_px: least and greatest shorter side of an image for "short-side".
        flip: probability of a horizontal flip.
        shift: greatest shift in either direction, as a fraction of the size; what comes in is
            black. 4 px of padding and a random crop, for 32 px, is 0.125.
        auto_augment: "trivial" (TrivialAugment, Mueller and Hutter 2021, arXiv:2103.10158, in its
            wide space) or RandAugment (Cubuk 2019, arXiv:1909.13719) in timm's words, such as
            "rand-m7-mstd0.5-inc1".
        lighting: standard deviation of the noise along the principal colours of ImageNet, in
            units of their own (Krizhevsky 2012: 0.1); 0 is off.
        erase: probability of erasing a rectangle (Zhong 2017, arXiv:1708.04896).
        mixup: alpha of mixup (Zhang 2017, arXiv:1710.09412); 0 is off.
        cutmix: alpha of CutMix (Yun 2019, arXiv:1905.04899); 0 is off. With mixup, each pair takes
            either with equal probability.
        train_size_px: height and width in training, where it differs from the evaluation's
            (Touvron 2019, arXiv:1906.06423).
        resize_px: the shorter side before the centre crop of an evaluation; default: the spec's.
        interpolation: "bilinear" or "bicubic"; default: the spec's. "random" is either in random
            crops and auto_augment, and the spec's elsewhere.
        eval_interpolation: of evaluation images, where it differs.

    Raises:
        ConfigError: an option out of its range.
    """
    check_probabilities(flip=flip, erase=erase)
    check_sizes(train_size_px=train_size_px, resize_px=resize_px)
    check_range("scale", scale, high=1.0)
    check_range("ratio", ratio, high=float("inf"))
    check_range("short_side_px", short_side_px, high=float("inf"))
    check_numbers(shift=shift, lighting=lighting, mixup=mixup, cutmix=cutmix)
    if (mixup or cutmix) and num_classes < 2:
        raise ConfigError("mixup and cutmix need at least two classes")
    if train and train_size_px is not None:
        spec = replace(spec, size_px=train_size_px)
    if resize_px is not None:
        spec = replace(spec, resize_px=resize_px)
    if not train and eval_interpolation is not None:
        interpolation = eval_interpolation
    if interpolation in ("bilinear", "bicubic"):
        spec = replace(spec, interpolation=interpolation)
    random_mode: str = interpolation or spec.interpolation
    policy = None
    if auto_augment is not None:
        policy = build_policy(auto_augment, interpolation=random_mode, mean=spec.mean)
    sample = SampleStage(
        spec,
        seed=seed,
        train=train,
        crop=crop != "none",
        short_side_px=short_side_px if crop == "short-side" else None,
        scale=scale,
        ratio=ratio,
        interpolation=random_mode,
        policy=policy if train else None,
    )
    batch = (
        BatchStage(
            spec,
            seed=seed,
            flip=flip,
            shift=shift,
            lighting=lighting,
            erase=erase,
            mixup=mixup,
            cutmix=cutmix,
        )
        if train
        else BatchStage(spec, seed=seed)
    )
    # As ``resize_and_centre_crop`` does it; without crops, the batch stage resizes the whole.
    shorter_px = max(spec.resize_px, spec.size_px) if spec.resize_px and crop != "none" else None
    return Transforms(
        sample=sample if sample.does_anything else None,
        batch=batch,
        resizing=None if train else Resizing(shorter_px, spec.interpolation),
    )


def check_probabilities(**values: float) -> None:
    """Refuse what is not within 0 and 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"transforms.{name} is {value}; a probability is within 0 and 1")


def check_numbers(**values: float) -> None:
    """Refuse what is negative or infinite."""
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise ConfigError(f"transforms.{name} is {value}; a number from 0 is needed")


def check_range(name: str, values: tuple[float, float], *, high: float) -> None:
    """Refuse what is no pair of positive numbers, the least first."""
    least, greatest = values
    if not 0 < least <= greatest <= high:
        raise ConfigError(
            f"transforms.{name} is {least} to {greatest}; two positive numbers, the least first"
            + (f", at most {high:g}, are needed" if high < float("inf") else ", are needed")
        )


def check_sizes(**values: int | None) -> None:
    """Refuse lengths below 1 px."""
    for name, value in values.items():
        if value is not None and value < 1:
            raise ConfigError(f"transforms.{name} is {value}; at least 1 px is needed")
