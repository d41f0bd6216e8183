"""Images with boxes: both move together, and answers find their way back."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.cards import InputSpec
from zoo.data.builtin import digit_boxes
from zoo.data.loading import Loader
from zoo.data.transforms import DrawingTransform, Transforms, box_transforms, to_own_pixels
from zoo.data.transforms._box_stage import keep_boxes, see
from zoo.errors import ConfigError, DataError
from zoo.randomness import uniform
from zoo.structures import Batch, Sample, SampleKey

SPEC = InputSpec(channels=1, size_px=64, mean=(0.5,), std=(0.5,))


def transforms(*, train: bool = True, **options: Any) -> Transforms:
    return box_transforms(train=train, spec=SPEC, seed=3, **options)


def marked(
    height: int = 60, width: int = 40, boxes: tuple[tuple[int, ...], ...] = ((4, 6, 14, 26),)
) -> Sample:
    """A black image whose boxes are white, so that pixels say where a box is."""
    image = torch.zeros(1, height, width, dtype=torch.uint8)
    for x1, y1, x2, y2 in boxes:
        image[:, y1:y2, x1:x2] = 255
    count = len(boxes)
    targets = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(count),
        "crowd": torch.zeros(count, dtype=torch.bool),
        "difficult": torch.zeros(count, dtype=torch.bool),
    }
    return Sample(image, targets)


def targets_of(sample: Sample, name: str = "boxes") -> Tensor:
    return torch.as_tensor(sample.targets[name])


def extent_of_white(image: Tensor) -> Tensor:
    """x1 y1 x2 y2 of what is bright; zeros where nothing is."""
    rows, columns = torch.where(image[0] > 127)
    if not len(rows):
        return torch.zeros(4)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.stack(edges).float()


def applied(sample: Sample, made: Transforms, index: int = 0) -> Sample:
    assert made.sample is not None
    return made.sample(sample, SampleKey(0, index))


class Listed:
    """Samples as a data set."""

    classes = ("a", "b")

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int) -> Sample:
        return self.samples[index]

    def describe(self, index: int) -> str:
        return f"listed[{index}]"

    def fingerprint(self) -> str:
        return ""


def batch_of(made: Transforms, *samples: Sample) -> Batch:
    loader = Loader(Listed(*samples), made.sample, workers=0, fill=made.fill)
    keys = [SampleKey(0, index) for index in range(len(samples))]
    (batch,) = loader.batches([keys])
    return made.batch(batch)


@pytest.mark.parametrize("index", range(12))
@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.0},
        {"flip": 0.0, "crop": 1.0},
        {"scale": (0.5, 2.0), "flip": 0.5},
        {"scale": (1.5, 2.0), "crop": 1.0, "resize": "none"},
        {"resize": "short-side", "short_side_px": 90, "long_side_px": 120, "jitter": 0.1},
    ],
    ids=["flip", "crop", "scale", "enlarged crop", "short side"],
)
def test_boxes_stay_around_what_they_were_around(options: dict[str, Any], index: int) -> None:
    sample = applied(marked(), transforms(**options, least_visible=0.0), index)

    box = targets_of(sample).sum(0)  # zeros where it is wholly outside of the frame
    assert (box - extent_of_white(sample.image)).abs().max() <= 1.0


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (64, 43)),
        ({"resize": "none"}, (60, 40)),
        ({"resize": "short-side", "short_side_px": 80, "long_side_px": 500}, (120, 80)),
        ({"resize": "short-side", "short_side_px": 80, "long_side_px": 90}, (90, 60)),
    ],
)
def test_images_are_resized_with_their_ratio_kept(
    options: dict[str, Any], size: tuple[int, int]
) -> None:
    batch = batch_of(transforms(train=False, **options), marked())

    assert tuple(batch.images.shape[-2:]) == size
    assert batch.sizes.tolist() == [list(size)]
    assert batch.targets["own_sizes"].tolist() == [[60, 40]]


@pytest.mark.parametrize("resize", ["fit", "short-side", "none"])
def test_boxes_of_a_batch_are_mapped_back_to_the_images_own_pixels(resize: str) -> None:
    batch = batch_of(transforms(train=False, resize=resize), marked(), marked(30, 50))

    back = [
        to_own_pixels(boxes, size, own)
        for boxes, size, own in zip(
            batch.targets["boxes"], batch.sizes, batch.targets["own_sizes"], strict=True
        )
    ]

    assert torch.stack(back).allclose(torch.tensor([[[4.0, 6, 14, 26]]] * 2), atol=1e-4)


def test_an_evaluation_draws_nothing() -> None:
    made = transforms(train=False, flip=1.0, crop=1.0, scale=(0.5, 2.0), jitter=0.5)

    first, second = (applied(marked(), made, index) for index in (0, 1))

    assert torch.equal(first.image, second.image)
    assert torch.equal(targets_of(first), targets_of(second))


def test_images_of_several_sizes_are_padded_with_nothing_below_and_to_the_right() -> None:
    samples = (marked(60, 40), marked(20, 64, boxes=((0, 0, 5, 5), (6, 6, 9, 9), (1, 1, 2, 2))))

    batch = batch_of(transforms(train=False), *samples, marked(64, 64, boxes=()))

    assert batch.images.shape == (3, 1, 64, 64)
    assert batch.sizes.tolist() == [[64, 43], [20, 64], [64, 64]]
    assert batch.images[0, :, :, 43:].abs().sum() == 0
    assert batch.images[1, :, 20:].abs().sum() == 0
    assert (batch.images[2] == -1).all()
    assert batch.targets["labels"].tolist() == [[0, -1, -1], [0, 1, 2], [-1, -1, -1]]
    assert batch.targets["boxes"][2].abs().sum() == 0
    assert batch.targets["crowd"].dtype == torch.bool


def test_a_batch_without_any_object_can_be_made() -> None:
    batch = batch_of(transforms(), marked(boxes=()), marked(boxes=()))

    assert batch.targets["boxes"].shape == (2, 0, 4)
    assert batch.targets["labels"].shape == (2, 0)


@pytest.mark.parametrize("index", range(20))
def test_a_crop_keeps_all_boxes_whole(index: int) -> None:
    sample = marked(60, 40, boxes=((4, 6, 14, 26), (30, 50, 40, 60)))
    draws = uniform(0, "test", [SampleKey(0, index)], 4)[0].tolist()

    cropped = keep_boxes(sample, draws)

    before, after = targets_of(sample), targets_of(cropped)
    assert torch.equal(after[:, 2:] - after[:, :2], before[:, 2:] - before[:, :2])
    assert cropped.image.sum() == sample.image.sum()


def test_a_crop_cuts_at_most_a_quarter_from_each_side() -> None:
    sample = marked(60, 40, boxes=())

    cropped = keep_boxes(sample, [0.999] * 4)

    assert tuple(cropped.image.shape[-2:]) == (30, 20)


def test_boxes_that_a_window_cuts_are_clipped_and_those_that_lose_too_much_left_out() -> None:
    sample = marked(boxes=((0, 0, 10, 10), (0, 0, 10, 30), (20, 20, 30, 30), (35, 5, 40, 8)))

    seen = see(sample, (0, 0, 10, 20), least_visible=0.5)

    assert targets_of(seen).tolist() == [[0, 0, 10, 10]]
    assert targets_of(seen, "labels").tolist() == [0]
    assert len(targets_of(seen, "crowd")) == 1
    assert len(targets_of(see(sample, (0, 0, 10, 20), least_visible=0.3))) == 2


SCENES = Listed(
    marked(60, 40, ((4, 6, 14, 26),)),
    marked(30, 80, ((10, 10, 30, 20),)),
    marked(50, 50, ((20, 20, 40, 40),)),
    marked(20, 20, ()),
)


def drawn_together(mosaic: float, index: int, **options: Any) -> Sample:
    made = transforms(mosaic=mosaic, resize="none", flip=0.0, **options).sample
    assert isinstance(made, DrawingTransform)
    return made.drawing_from(SCENES)(SCENES.load(index % 4), SampleKey(0, index))


@pytest.mark.parametrize("index", range(12))
def test_the_boxes_of_four_joined_images_stay_around_what_they_were_around(index: int) -> None:
    joined = drawn_together(1.0, index, least_visible=0.0)

    seen = joined.image[0] > 127
    inside = torch.zeros_like(seen)
    for x1, y1, x2, y2 in targets_of(joined).round().int().tolist():
        inside[y1:y2, x1:x2] = True
    assert joined.image.shape == SCENES.load(index % 4).image.shape
    assert len(targets_of(joined)) == len(targets_of(joined, "labels"))
    assert (seen != inside).float().mean() < 0.05
    assert bool((targets_of(joined) >= 0).all())
    assert bool((targets_of(joined)[:, 2:] <= torch.tensor(joined.image.shape[:0:-1])).all())


def test_joined_images_show_more_objects_and_every_part() -> None:
    counts = [len(targets_of(drawn_together(1.0, index))) for index in range(40)]

    assert 2 < sum(counts) / len(counts) < 3.5
    assert max(counts) == 4


@pytest.mark.parametrize(("mosaic", "least", "most"), [(0.3, 0.15, 0.45), (1.0, 0.9, 1.0)])
def test_images_are_joined_with_their_probability(mosaic: float, least: float, most: float) -> None:
    changed = [
        not drawn_together(mosaic, index).image.equal(SCENES.load(index % 4).image)
        for index in range(100)
    ]

    assert least <= sum(changed) / 100 <= most


@pytest.mark.parametrize("workers", [0, 2])
def test_the_others_of_a_joined_image_depend_on_its_key_alone(workers: int) -> None:
    made = transforms(mosaic=1.0, scale=(0.8, 1.2))
    plan = [[SampleKey(1, 0), SampleKey(1, 1)], [SampleKey(1, 2), SampleKey(1, 3)]]
    whole = Loader(SCENES, made.sample, workers=0, fill=made.fill)
    loader = Loader(SCENES, made.sample, workers=workers, fill=made.fill)

    with closing(loader):
        resumed = next(iter(loader.batches(plan[1:])))

    expected = list(whole.batches(plan))[1]
    assert torch.equal(resumed.images, expected.images)
    assert torch.equal(resumed.targets["boxes"], expected.targets["boxes"])


def test_a_loader_joins_images_of_its_own_split() -> None:
    made = transforms(mosaic=1.0, resize="none", flip=0.0)
    loader = Loader(SCENES, made.sample, workers=0, fill=made.fill)

    (batch,) = loader.batches([[SampleKey(0, 1)]])

    assert torch.equal(batch.images[0], drawn_together(1.0, 1).image)
    assert not torch.equal(batch.images[0], SCENES.load(1).image)


def test_an_image_of_no_split_is_joined_with_none() -> None:
    alone, joining = (transforms(mosaic=of, flip=1.0).sample for of in (0.0, 1.0))
    assert alone is not None
    assert joining is not None

    assert torch.equal(
        joining(marked(), SampleKey(0, 1)).image, alone(marked(), SampleKey(0, 1)).image
    )


def test_an_image_of_16_bits_is_never_joined_with_one_of_8() -> None:
    wide = Sample(marked().image.to(torch.uint16), marked().targets)
    made = transforms(mosaic=1.0).sample
    assert isinstance(made, DrawingTransform)

    with pytest.raises(DataError, match=r"listed\[0\] is uint16, but listed\[1\] is uint8"):
        made.drawing_from(Listed(wide))(marked(), SampleKey(0, 1))


def test_a_batch_has_no_images_of_16_bits_beside_others_of_8() -> None:
    wide = Sample(marked(20, 20, ()).image.to(torch.uint16), marked(20, 20, ()).targets)

    with pytest.raises(DataError, match=r"listed\[1\] is uint16, but listed\[0\] is uint8"):
        batch_of(transforms(resize="none", train=False), marked(), wide)


def test_an_evaluation_joins_nothing() -> None:
    assert not isinstance(transforms(train=False, mosaic=1.0).sample, DrawingTransform)


def test_what_is_drawn_depends_on_the_key_alone() -> None:
    made = transforms(crop=0.5, scale=(0.5, 1.5), jitter=0.3)

    first, again, other = (applied(marked(), made, index) for index in (7, 7, 8))

    assert torch.equal(first.image, again.image)
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)


def test_an_image_to_be_predicted_needs_no_boxes() -> None:
    made = transforms(train=False)

    sample = applied(Sample(marked().image, {}), made)

    assert {name: torch.as_tensor(of).tolist() for name, of in sample.targets.items()} == {
        "own_sizes": [60, 40]
    }


def test_scenes_that_fit_need_no_sample_stage_and_have_their_own_sizes_all_the_same() -> None:
    scenes = digit_boxes(train=3, val=1)["train"]
    made = transforms(resize="none", flip=0.0)

    loader = Loader(scenes, made.sample, workers=0, fill=made.fill)
    (batch,) = loader.batches([[SampleKey(0, 0), SampleKey(0, 2)]])

    assert made.sample is None
    assert made.batch(batch).targets["own_sizes"].tolist() == [[96, 96], [96, 96]]


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.5},
        {"crop": -0.1},
        {"jitter": 2.0},
        {"least_visible": 1.1},
        {"scale": (2.0, 1.0)},
        {"scale": (0.0, 1.0)},
        {"short_side_px": 0},
        {"long_side_px": 0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    (name,) = options

    with pytest.raises(ConfigError, match=f"transforms.{name}"):
        transforms(**options)
