"""Image and mask move alike, everything random hangs on the key, and evaluation changes no size."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.cards import InputSpec
from zoo.data.transforms import Transforms, mask_transforms, weigh_borders
from zoo.data.transforms._border_weights import border_weights
from zoo.errors import ConfigError
from zoo.structures import IGNORED, Batch, Sample, SampleKey, SampleKeys

KEYS = [SampleKey(0, index) for index in range(6)]
MOVES: dict[str, dict[str, Any]] = {
    "crop": {},
    "scale": {"scale": (0.5, 2.0)},
    "rotate": {"rotate_deg": 180.0},
    "elastic": {"elastic_px": 6.0},
    "all": {"scale": (0.5, 2.0), "rotate_deg": 30.0, "elastic_px": 4.0},
    "flip": {"flip": 0.5, "flip_vertical": 0.5},
    "turn": {"quarter_turns": True},
}


def transforms(train: bool = True, size_px: int = 48, **options: Any) -> Transforms:
    spec = InputSpec(size_px=size_px, resize_px=None, channels=1, mean=(0.0,), std=(1.0,))
    options = {"flip": 0.0, **options}
    return mask_transforms(train=train, spec=spec, seed=5, **options)


def painted(height: int = 70, width: int = 90) -> Sample:
    """An image that shows its mask: class c has the grey value 80 c."""
    rows, columns = np.mgrid[:height, :width]
    mask = ((rows // 17 + columns // 23) % 4).astype(np.uint8)
    return Sample(torch.from_numpy(80 * mask)[None], {"masks": torch.from_numpy(mask)})


def transformed(stages: Transforms, sample: Sample, keys: list[SampleKey]) -> Batch:
    samples = [stages.sample(sample, key) if stages.sample else sample for key in keys]
    images = torch.stack([of.image for of in samples])
    masks = torch.stack([torch.as_tensor(of.targets["masks"]) for of in samples])
    size = torch.tensor(images.shape[-2:]).expand(len(keys), 2)
    ids = torch.arange(len(keys))
    batch = Batch(images, size, ids, {"masks": masks}, SampleKeys.of(keys))
    return stages.batch(batch)


def agreement(batch: Batch) -> float:
    """The share of counted pixels whose grey value is that of their class."""
    masks = batch.targets["masks"]
    inside = masks != IGNORED
    shown = (batch.images[:, 0] * 255 / 80).round()
    return float((shown == masks)[inside].double().mean())


@pytest.mark.parametrize("move", MOVES)
def test_a_mask_goes_where_its_image_goes(move: str) -> None:
    batch = transformed(transforms(**MOVES[move]), painted(), KEYS)

    assert batch.images.shape == (6, 1, 48, 48)
    assert batch.targets["masks"].dtype == torch.int64
    assert batch.targets["masks"].shape == (6, 48, 48)
    # Only the pixels at edges are mixed in the image and of one class in the mask.
    assert agreement(batch) > 0.87


@pytest.mark.parametrize("move", ["crop", "flip", "turn"])
def test_what_interpolates_nothing_is_exact(move: str) -> None:
    assert agreement(transformed(transforms(**MOVES[move]), painted(), KEYS)) == 1.0


@pytest.mark.parametrize("move", MOVES)
def test_masks_hold_no_class_that_was_not_there(move: str) -> None:
    masks = transformed(transforms(**MOVES[move]), painted(), KEYS).targets["masks"]

    assert set(masks.unique().tolist()) <= {0, 1, 2, 3, IGNORED}


@pytest.mark.parametrize("move", MOVES)
def test_a_sample_depends_on_its_key_alone(move: str) -> None:
    stages = transforms(**MOVES[move])
    whole = transformed(stages, painted(), KEYS)

    alone = transformed(transforms(**MOVES[move]), painted(), KEYS[3:4])

    assert torch.equal(alone.images[0], whole.images[3])
    assert torch.equal(alone.targets["masks"][0], whole.targets["masks"][3])


@pytest.mark.parametrize("move", MOVES)
def test_epochs_differ(move: str) -> None:
    stages = transforms(**MOVES[move])

    first, second = (
        transformed(stages, painted(), [SampleKey(epoch, index) for index in range(6)])
        for epoch in (0, 1)
    )

    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize("size", [(1, 1), (20, 200), (47, 48), (300, 30)])
@pytest.mark.parametrize("move", ["crop", "all"])
def test_beyond_a_small_image_nothing_counts(move: str, size: tuple[int, int]) -> None:
    batch = transformed(transforms(**{**MOVES[move], "scale": (1.0, 1.0)}), painted(*size), KEYS)

    counted = (batch.targets["masks"] != IGNORED).flatten(1).sum(1)
    assert batch.images.shape == (6, 1, 48, 48)
    assert int(counted.max()) <= min(48, size[0] + 12) * min(48, size[1] + 12)
    assert int(counted.sum()) > 0


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    sample = painted(48, 48)

    batch = transformed(transforms(), sample, KEYS[:1])

    assert torch.equal(batch.targets["masks"][0], torch.as_tensor(sample.targets["masks"]).long())


@pytest.mark.parametrize("move", ["crop", "all"])
def test_context_is_more_of_the_same_image(move: str) -> None:
    plain = transformed(transforms(size_px=40, **MOVES[move]), painted(200, 200), KEYS)

    wide = transformed(transforms(size_px=40, context_px=9, **MOVES[move]), painted(200, 200), KEYS)

    assert wide.images.shape == (6, 1, 58, 58)
    assert wide.targets["masks"].shape == (6, 40, 40)
    inner = Batch(wide.images[..., 9:-9, 9:-9], wide.sizes, wide.ids, wide.targets, wide.keys)
    assert agreement(inner) == pytest.approx(agreement(plain), abs=0.05)


def test_scales_are_drawn_within_their_bounds_and_seen() -> None:
    stripes = Sample(
        torch.zeros(1, 200, 200, dtype=torch.uint8),
        {"masks": (torch.arange(200)[:, None] // 10 % 2).to(torch.uint8).expand(200, 200)},
    )

    masks = transformed(transforms(scale=(2.0, 2.0)), stripes, KEYS).targets["masks"]

    changes = (masks[:, 1:, 0] != masks[:, :-1, 0]).sum(1)
    assert set(changes.tolist()) <= {2, 3}


def test_an_evaluation_sees_images_as_they_are_and_pads_only_to_share_a_batch() -> None:
    stages = transforms(train=False)

    assert stages.sample is None
    assert stages.fill is not None
    assert stages.fill["masks"] == IGNORED
    batch = transformed(stages, painted(), KEYS[:1])
    torch.testing.assert_close(batch.images[0] * 255, painted().image.float())


def test_uncropped_training_leaves_everything_to_the_device() -> None:
    assert transforms(crop="none").sample is None


def test_jitter_changes_images_and_no_mask() -> None:
    plain, changed = (
        transformed(transforms(jitter=jitter), painted(), KEYS) for jitter in (0.0, 0.4)
    )

    assert not torch.allclose(plain.images, changed.images)
    assert torch.equal(plain.targets["masks"], changed.targets["masks"])
    assert float(changed.images.min()) >= 0.0
    assert float(changed.images.max()) <= 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, "flip"),
        ({"scale": (2.0, 1.0)}, "scale"),
        ({"rotate_deg": -1.0}, "rotate_deg"),
        ({"elastic_px": float("inf")}, "elastic_px"),
        ({"train_size_px": 0}, "train_size_px"),
        ({"elastic_grid": 0}, "elastic_grid"),
    ],
)
def test_options_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        transforms(**options)


# --- the border weights of the U-Net paper ---------------------------------------------------


def cells(gap: int) -> Tensor:
    mask = torch.zeros(21, 40 + gap, dtype=torch.uint8)
    mask[5:16, 5:20] = 1
    mask[5:16, 20 + gap : 35 + gap] = 1
    return mask


@pytest.mark.parametrize("gap", [1, 3, 8])
def test_border_weights_follow_the_papers_formula(gap: int) -> None:
    weights = border_weights(cells(gap).numpy(), weight=10.0, sigma_px=5.0)

    # In the middle row, distances to both cells add up to gap + 1.
    middle = weights[10, 20 : 20 + gap]
    assert middle == pytest.approx(np.full(gap, 10 * np.exp(-((gap + 1) ** 2) / 50)), rel=1e-5)
    assert not weights[5:16, 5:20].any()


def test_a_single_object_has_no_border_to_another() -> None:
    assert not border_weights(cells(0).numpy(), weight=10.0, sigma_px=5.0).any()


def test_border_weights_ride_with_every_split() -> None:
    stages = [weigh_borders(transforms(t), weight=10.0, sigma_px=5.0) for t in (True, False)]

    samples = [stage.sample(painted(), KEYS[0]) for stage in stages if stage.sample]

    assert [tuple(of.targets["weights"].shape) for of in samples] == [(48, 48), (70, 90)]
