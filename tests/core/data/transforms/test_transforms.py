"""Both stages of the transforms, against the sources that they follow."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.cards import InputSpec
from zoo.data.transforms import Transforms, image_transforms, resize
from zoo.data.transforms._auto_augment import _TRIVIAL_SPACE, build_policy, rand_operations
from zoo.data.transforms._batch_stage import erase_images, flip_images, light_images, shift_images
from zoo.data.transforms._mixing import symmetric_beta
from zoo.data.transforms._pillow_ops import OPERATIONS, Border
from zoo.data.transforms._sample_stage import random_box, resize_and_centre_crop, short_side_box
from zoo.errors import ConfigError, DataError
from zoo.randomness import uniform
from zoo.structures import Batch, Sample, SampleKey

SPEC = InputSpec(size_px=16, resize_px=18)


def noise(channels: int = 3, height: int = 37, width: int = 53, number: int = 0) -> torch.Tensor:
    """A uint8 image as a decoder lays it out."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, channels), np.uint8)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def batch_of(count: int, *, channels: int = 3, size: int = 16) -> Batch:
    return Batch(
        images=torch.stack([noise(channels, size, size, number) for number in range(count)]),
        sizes=torch.full((count, 2), size),
        ids=torch.arange(count),
        targets={"labels": torch.arange(count) % 10},
        keys=tuple(SampleKey(4, index) for index in range(count)),
    )


def transforms(**options: Any) -> Transforms:
    return image_transforms(
        **{"train": True, "spec": SPEC, "seed": 1, "num_classes": 10, **options}
    )


# The sample stage


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (100, 100), (1, 9)])
@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999999])
def test_a_short_side_crop_is_the_square_of_the_resized_image(
    height: int, width: int, draw: float
) -> None:
    top, left, box_height, box_width = short_side_box(
        height, width, 224, (256, 480), [draw, draw, draw]
    )

    shorter_px = 256 + int(draw * 225)
    assert box_height == box_width == max(1, round(min(height, width) * 224 / shorter_px))
    assert 0 <= top <= height - box_height
    assert 0 <= left <= width - box_width


def test_short_side_crops_have_the_size_that_the_model_sees() -> None:
    made = transforms(crop="short-side", short_side_px=(17, 30))
    assert made.sample is not None

    sample = made.sample(Sample(noise(), {"labels": 1}), SampleKey(0, 1))

    assert sample.image.shape == (3, 16, 16)


def test_lighting_moves_whole_images_along_the_principal_colours() -> None:
    images = torch.full((4000, 3, 2, 2), 100.0)
    draws = uniform(0, "lighting", [SampleKey(0, index) for index in range(4000)], 6)

    noise_of = (light_images(images, draws, 0.1) - images)[:, :, 0, 0] / 255

    colours = torch.tensor(
        [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]]
    )
    along = noise_of @ colours.T
    torch.testing.assert_close(
        along.std(0), 0.1 * torch.tensor([0.2175, 0.0188, 0.0045]), rtol=0.05, atol=1e-4
    )
    assert light_images(images[:, :1], draws, 0.1).equal(images[:, :1])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 30), (64, 80)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_resize_equals_torchvisions(mode: str, size: tuple[int, int], channels: int) -> None:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize as torchvision_resize

    image = noise(channels)

    resized = resize(image, *size, mode)

    expected = torchvision_resize(
        image, list(size), interpolation=InterpolationMode(mode), antialias=True
    )
    assert resized.dtype == torch.uint8
    assert torch.equal(resized, expected)


@pytest.mark.parametrize("shape", [(37, 53), (53, 37), (40, 40), (200, 41), (16, 300)])
@pytest.mark.parametrize(("size_px", "resize_px"), [(16, 18), (32, 32), (21, 50)])
def test_evaluation_crop_equals_torchvisions(
    shape: tuple[int, int], size_px: int, resize_px: int
) -> None:
    from torchvision.transforms.v2.functional import center_crop
    from torchvision.transforms.v2.functional import resize as torchvision_resize

    image = noise(3, *shape)

    cropped = resize_and_centre_crop(image, InputSpec(size_px=size_px, resize_px=resize_px))

    expected = center_crop(torchvision_resize(image, [resize_px], antialias=True), [size_px])
    assert torch.equal(cropped, expected) or max(shape) > 16 * min(shape)
    assert cropped.shape == (3, size_px, size_px)


@pytest.mark.parametrize("shape", [(1, 1), (4000, 1), (1, 4000), (3, 2)])
@pytest.mark.parametrize("train", [True, False])
def test_images_of_any_shape_become_the_models_size(shape: tuple[int, int], train: bool) -> None:
    stage = transforms(train=train).sample
    assert stage is not None

    sample = stage(Sample(noise(3, *shape), {"labels": 1}), SampleKey(0, 0))

    assert sample.image.shape == (3, 16, 16)
    assert sample.targets == {"labels": 1}


def test_a_random_crop_covers_its_share_of_the_image_in_its_shape() -> None:
    draws = uniform(0, "crop", [SampleKey(0, index) for index in range(3000)], 22)

    boxes = np.array([random_box(300, 400, (0.1, 0.4), (0.5, 2.0), row.tolist()) for row in draws])

    top, left, height, width = boxes.T
    areas, ratios = height * width / 120_000, width / height
    assert areas.min() > 0.098
    assert areas.max() < 0.402
    assert ratios.min() > 0.49
    assert ratios.max() < 2.03
    assert abs(np.log(ratios).mean()) < 0.1
    assert top.min() == 0
    assert (top + height).max() == 300
    assert (left + width).max() == 400


def test_random_crops_are_distributed_as_torchvisions() -> None:
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    theirs = np.array(
        [
            RandomResizedCrop.get_params(torch.zeros(3, 60, 200), [0.08, 1.0], [3 / 4, 4 / 3])
            for _ in range(4000)
        ]
    )
    draws = uniform(0, "crop", [SampleKey(0, index) for index in range(4000)], 22)

    ours = np.array(
        [random_box(60, 200, (0.08, 1.0), (3 / 4, 4 / 3), row.tolist()) for row in draws]
    )

    spread = theirs.std(0) / math.sqrt(4000)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 6 * spread).all()
    assert np.allclose(ours.std(0), theirs.std(0), rtol=0.08)


def test_whole_images_have_no_sample_stage() -> None:
    assert transforms(crop="none").sample is None
    assert transforms(crop="none", train=False, auto_augment="trivial").sample is None
    assert transforms(crop="none", auto_augment="trivial").sample is not None


def test_training_may_have_a_size_of_its_own() -> None:
    key, sample = SampleKey(0, 0), Sample(noise(), {})
    options = {"train_size_px": 12, "resize_px": 30}

    train, evaluation = (transforms(train=train, **options).sample for train in (True, False))

    assert train(sample, key).image.shape == (3, 12, 12)
    assert evaluation(sample, key).image.shape == (3, 16, 16)


@pytest.mark.parametrize("auto_augment", [None, "trivial", "rand-m9-n3-mstd0.5"])
def test_a_sample_is_a_function_of_its_key_and_the_seed(auto_augment: str | None) -> None:
    sample = Sample(noise(), {})
    keys = [SampleKey(0, 0), SampleKey(1, 0), SampleKey(0, 1), SampleKey(0, 0, 1)]
    stages = [transforms(seed=seed, auto_augment=auto_augment).sample for seed in (1, 1, 2)]

    images = [[stage(sample, key).image for key in keys] for stage in stages]

    assert all(torch.equal(a, b) for a, b in zip(images[0], images[1], strict=True))
    different = [*images[0], *images[2]]
    assert len({image.numpy().tobytes() for image in different}) == 8


# Policies


def test_trivial_augments_numbers_are_torchvisions() -> None:
    from torchvision.transforms.v2 import TrivialAugmentWide

    space = TrivialAugmentWide._AUGMENTATION_SPACE
    around_one = {"Brightness", "Color", "Contrast", "Sharpness"}

    for (name, argument), (their_name, (their_numbers, signed)) in zip(
        _TRIVIAL_SPACE, space.items(), strict=True
    ):
        numbers = their_numbers(31, 100, 100)
        assert name.replace("_", "") == their_name.lower()
        assert (argument(0.5, 1.0) != argument(0.5, -1.0)) == signed
        for step in range(31):
            theirs = 0.0 if numbers is None else float(numbers[step])
            theirs = {"Solarize": 255 * theirs}.get(their_name, theirs)
            theirs = int(theirs) if their_name.startswith("Translate") else theirs
            theirs += their_name in around_one
            # Their float32 numbers sometimes lie just below a whole pixel.
            tolerance = 1 if their_name.startswith("Translate") else 1e-4
            assert argument(step / 30, 1.0) == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "value", "theirs", "their_value"),
    [
        ("shear_x", 0.3, "ShearX", 0.3),
        ("shear_y", -0.2, "ShearY", -0.2),
        ("translate_x", 7, "TranslateX", -7),
        ("translate_y", -5, "TranslateY", 5),
        ("rotate", 25.0, "Rotate", 25.0),
        ("brightness", 1.4, "Brightness", 0.4),
        ("color", 0.3, "Color", -0.7),
        ("contrast", 1.9, "Contrast", 0.9),
        ("sharpness", 1.7, "Sharpness", 0.7),
        ("posterize", 3, "Posterize", 3),
        ("solarize", 127.5, "Solarize", 0.5),
        ("auto_contrast", 0.0, "AutoContrast", 0.0),
        ("equalize", 0.0, "Equalize", 0.0),
        ("invert", 0.0, "Invert", 0.0),
        ("identity", 0.0, "Identity", 0.0),
    ],
)
def test_operations_give_torchvisions_pixels(
    name: str, value: float, theirs: str, their_value: float
) -> None:
    from torchvision.transforms.v2 import InterpolationMode, TrivialAugmentWide

    image = Image.fromarray(noise().permute(1, 2, 0).numpy() // 2 + 30)
    augment = TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)

    ours = OPERATIONS[name](image, value, Border("bilinear", (0, 0, 0)))

    expected = augment._apply_image_or_video_transform(
        image, theirs, their_value, InterpolationMode.BILINEAR, augment._fill
    )
    assert np.array_equal(np.array(ours), np.array(expected))


TIMM_NAMES = {
    "auto_contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert",
    "rotate": "Rotate", "posterize": "Posterize", "solarize": "Solarize",
    "solarize_add": "SolarizeAdd", "color": "Color", "contrast": "Contrast",
    "brightness": "Brightness", "sharpness": "Sharpness", "shear_x": "ShearX",
    "shear_y": "ShearY", "translate_x": "TranslateXRel", "translate_y": "TranslateYRel",
}  # fmt: skip


@pytest.mark.parametrize("increasing", [False, True], ids=["plain", "inc1"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("level", [0.0, 0.9, 3.3, 6.6, 7.0, 9.99, 10.0])
def test_rand_augment_gives_timms_pixels(
    level: float, sign: float, increasing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm.data.auto_augment")
    monkeypatch.setattr(timm.random, "random", lambda: 0.4 if sign > 0 else 0.6)
    image = Image.fromarray(noise().permute(1, 2, 0).numpy() // 2 + 30)
    hparams = {"img_mean": (124, 116, 104), "interpolation": Image.Resampling.BICUBIC}
    names = timm._RAND_INCREASING_TRANSFORMS if increasing else timm._RAND_TRANSFORMS

    for (name, argument), their_name in zip(
        rand_operations(increasing=increasing), names, strict=True
    ):
        value = argument(level / 10, sign)
        value *= {"translate_x": 53, "translate_y": 37}.get(name, 1)
        ours = OPERATIONS[name](image, value, Border("bicubic", (124, 116, 104)))
        if name == "posterize" and value < 1:  # Pillow, and so timm, refuses it
            continue
        theirs = timm.AugmentOp(their_name, prob=1.0, magnitude=level, hparams=hparams)(image)

        assert their_name.removesuffix("Increasing") == TIMM_NAMES[name]
        assert np.array_equal(np.array(ours), np.array(theirs)), name


def test_rand_augment_leaves_operations_out_as_often_as_timm() -> None:
    policy = build_policy("rand-m9-mstd0.5-inc1", interpolation="bilinear", mean=SPEC.mean)
    image = noise()

    unchanged = sum(
        torch.equal(policy(image, SampleKey(0, index), seed=0), image) for index in range(600)
    )

    # A quarter draws nothing; equalise and contrast stretching leave noise nearly as it is.
    assert 0.2 < unchanged / 600 < 0.36


def test_magnitudes_are_normal_around_the_named_one() -> None:
    policy = build_policy("rand-m7-mstd0.5", interpolation="bilinear", mean=SPEC.mean)
    draws = uniform(0, "x", [SampleKey(0, index) for index in range(4000)], 2)

    levels = np.array([policy._level(*row) for row in draws])

    assert abs(levels.mean() - 7) < 0.04
    assert abs(levels.std() - 0.5) < 0.03


@pytest.mark.parametrize("policy", ["trivial", "rand-m9-n4-mstd0.5-inc1-p1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_keep_shape_and_type(policy: str, channels: int) -> None:
    augment = build_policy(policy, interpolation="random", mean=SPEC.mean[:channels])

    images = [augment(noise(channels), SampleKey(0, index), seed=0) for index in range(60)]

    assert {(image.dtype, tuple(image.shape)) for image in images} == {
        (torch.uint8, (channels, 37, 53))
    }


def test_policies_refuse_transparent_images() -> None:
    with pytest.raises(DataError, match="grey and RGB"):
        build_policy("trivial", interpolation="bilinear", mean=(0.5,) * 4)(
            noise(4), SampleKey(0, 0), seed=0
        )


# The batch stage


def test_evaluation_resizes_and_normalises() -> None:
    batch = batch_of(3, size=16)

    out = transforms(train=False, crop="none").batch(batch)

    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (SPEC.mean, SPEC.std))
    assert out.images.dtype == torch.float32
    assert torch.allclose(out.images, (batch.images / 255 - mean) / std, atol=1e-6)
    assert out.keys == batch.keys
    assert out.targets == batch.targets


def test_grey_images_serve_an_rgb_model_and_the_other_way_round() -> None:
    grey, colour = batch_of(2, channels=1, size=8), batch_of(2, channels=3)
    repeated = Batch(**{**vars_of(grey), "images": grey.images.expand(-1, 3, -1, -1)})

    as_rgb = transforms(crop="none", flip=1.0).batch(grey).images
    expected = transforms(crop="none", flip=1.0).batch(repeated).images
    as_grey = transforms(crop="none", spec=SPEC.at(channels=1)).batch(colour).images

    assert as_rgb.shape == (2, 3, 16, 16)
    assert torch.allclose(as_rgb, expected, atol=1e-6)
    assert as_grey.shape == (2, 1, 16, 16)


def vars_of(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in ("images", "sizes", "ids", "targets", "keys")}


def test_channels_that_cannot_be_converted_are_named() -> None:
    with pytest.raises(DataError, match="have 4 channels, and the model wants 3"):
        transforms(crop="none").batch(batch_of(2, channels=4))


def test_shift_moves_and_fills_with_black() -> None:
    images = torch.arange(1.0, 10).reshape(1, 1, 3, 3).repeat(2, 1, 1, 1)

    shifted = shift_images(images, np.array([[1, -1], [0, 0]]))

    assert shifted[0, 0].tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert torch.equal(shifted[1], images[1])


def test_shift_is_padding_and_a_random_crop() -> None:
    stage = transforms(crop="none", flip=0.0, shift=0.125, spec=SPEC).batch
    offsets = stage._offsets(batch_of(3000, size=2))

    counts = np.stack([np.bincount(column + 2, minlength=5) for column in offsets.T])

    assert np.abs(counts - 600).max() < 5 * np.sqrt(600)


def test_flip_mirrors_only_those_drawn() -> None:
    images = batch_of(4).images.float()

    flipped = flip_images(images, np.array([True, False, True, False]))

    assert torch.equal(flipped[0], images[0].flip(-1))
    assert torch.equal(flipped[1], images[1])


def test_half_of_the_images_are_flipped() -> None:
    batch = batch_of(1000, size=16)
    plain = transforms(crop="none", flip=0.0).batch(batch).images

    flipped = transforms(crop="none").batch(batch).images

    changed = (flipped != plain).flatten(1).any(1).float().mean()
    assert 0.45 < changed < 0.55


def test_erasing_takes_a_rectangle_of_the_right_area() -> None:
    images = torch.ones(2000, 1, 20, 20)
    draws = uniform(0, "erase", [SampleKey(0, index) for index in range(2000)], 23)

    erased = erase_images(images, draws, 0.5) == 0

    shares = erased.flatten(1).float().mean(1)
    rows, columns = erased.any(3).sum(2), erased.any(2).sum(2)
    assert 0.45 < (shares > 0).float().mean() < 0.55
    assert shares.max() <= 0.36
    assert shares[shares > 0].min() > 0.01
    assert torch.equal(erased.flatten(1).sum(1), (rows * columns)[:, 0])


def test_rectangles_are_distributed_as_torchvisions() -> None:
    from torchvision.transforms import RandomErasing

    torch.manual_seed(0)
    image = torch.zeros(3, 32, 24)
    theirs = np.array(
        [RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(4000)]
    )
    draws = uniform(0, "erase", [SampleKey(0, index) for index in range(4000)], 23)

    erased = erase_images(torch.ones(4000, 1, 32, 24), draws, 1.0)[:, 0] == 0

    rows, columns = erased.any(2), erased.any(1)
    ours = torch.stack(
        [rows.int().argmax(1), columns.int().argmax(1), rows.sum(1), columns.sum(1)], 1
    ).numpy()
    spread = theirs.std(0) / math.sqrt(4000)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 6 * spread).all()


# Mixing


def test_mixup_blends_each_pair_and_says_how() -> None:
    batch = batch_of(6)
    plain = transforms(crop="none", flip=0.0).batch(batch).images

    mixed = transforms(crop="none", flip=0.0, mixup=0.4).batch(batch)

    weight = mixed.targets["mix_weight"]
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    column = weight[:, None, None, None]
    assert torch.allclose(mixed.images, column * plain + (1 - column) * plain[partner], atol=1e-5)
    assert mixed.targets["mixed_labels"].tolist() == batch.targets["labels"][partner].tolist()
    assert torch.equal(weight[::2], weight[1::2])
    assert weight.dtype == torch.float32
    assert len(set(weight.tolist())) == 3


def test_cutmix_swaps_a_rectangle_and_weighs_by_its_area() -> None:
    batch = batch_of(40)
    plain = transforms(crop="none", flip=0.0).batch(batch).images
    partner = torch.arange(40) ^ 1

    mixed = transforms(crop="none", flip=0.0, cutmix=1.0).batch(batch)

    own = (mixed.images == plain).all(1)
    others = (mixed.images == plain[partner]).all(1)
    assert (own | others).all()
    assert torch.allclose(own.flatten(1).float().mean(1), mixed.targets["mix_weight"], atol=0.02)
    assert mixed.targets["mix_weight"].std() > 0.1


def test_mixup_and_cutmix_take_turns() -> None:
    batch = batch_of(400)
    plain = transforms(crop="none", flip=0.0).batch(batch).images

    mixed = transforms(crop="none", flip=0.0, mixup=0.8, cutmix=1.0).batch(batch)

    partner = torch.arange(400) ^ 1
    cut = ((mixed.images == plain) | (mixed.images == plain[partner])).flatten(1).all(1)
    assert 0.4 < cut.float().mean() < 0.6


def test_the_last_of_an_odd_batch_stays_as_it_is() -> None:
    batch = batch_of(5)
    plain = transforms(crop="none", flip=0.0).batch(batch)

    mixed = transforms(crop="none", flip=0.0, mixup=0.8, cutmix=1.0).batch(batch)

    assert torch.equal(mixed.images[4], plain.images[4])
    assert mixed.targets["mix_weight"][4] == 1
    assert mixed.targets["mixed_labels"][4] == batch.targets["labels"][4]


@pytest.mark.parametrize("parts", [[0, 8], [0, 2, 8], [0, 4, 6, 8]])
def test_a_batch_in_parts_gives_the_same_images(parts: list[int]) -> None:
    stage = transforms(crop="none", shift=0.1, erase=0.5, mixup=0.2, cutmix=1.0).batch
    batch = batch_of(8)

    whole = stage(batch)
    pieces = [stage(batch.rows(start, stop)) for start, stop in pairwise(parts)]

    assert torch.equal(torch.cat([piece.images for piece in pieces]), whole.images)
    for name, target in whole.targets.items():
        assert torch.equal(torch.cat([piece.targets[name] for piece in pieces]), target)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 0.8, 1.0, 2.0, 5.0])
def test_mixing_weights_follow_the_beta_distribution(alpha: float) -> None:
    draws = uniform(0, "mix", [SampleKey(0, index) for index in range(20_000)], 32)

    weights = symmetric_beta(alpha, draws)

    expected = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert np.isfinite(weights).all()
    assert abs(weights.var() - 1 / (4 * (2 * alpha + 1))) < 0.005
    assert np.allclose(
        [(weights < level).mean() for level in levels],
        [(expected < level).mean() for level in levels],
        atol=0.015,
    )


def test_training_leaves_the_batch_it_was_given_alone() -> None:
    batch = batch_of(4)
    before = batch.images.clone()

    transforms(crop="none", shift=0.1, erase=1.0, mixup=0.2, cutmix=1.0).batch(batch)

    assert torch.equal(batch.images, before)
    assert set(batch.targets) == {"labels"}


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.5},
        {"erase": -0.1},
        {"shift": -0.1},
        {"mixup": float("nan")},
        {"cutmix": float("inf")},
        {"scale": (0.9, 0.1)},
        {"scale": (0.0, 1.0)},
        {"scale": (0.5, 1.5)},
        {"ratio": (2.0, 1.0)},
        {"auto_augment": "rnad-m9"},
        {"auto_augment": "rand-x9"},
        {"auto_augment": "rand-m"},
        {"mixup": 0.2, "num_classes": 1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        transforms(**options)


# CUDA


@pytest.mark.cuda
def test_the_device_changes_no_more_than_rounding() -> None:
    stage = transforms(crop="none", shift=0.1, erase=0.5, mixup=0.2, cutmix=1.0).batch
    batch = batch_of(16, size=8)

    on_device = stage(batch.pin_memory().to(torch.device("cuda")))
    on_host = stage(batch)

    assert on_device.images.device.type == "cuda"
    assert torch.allclose(on_device.images.cpu(), on_host.images, atol=1e-4)
    assert torch.equal(on_device.targets["mix_weight"].cpu(), on_host.targets["mix_weight"])
