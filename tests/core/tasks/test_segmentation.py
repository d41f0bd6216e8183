"""The segmentation task: every image as if alone, one forward for loss and answer, pictures."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zoo.errors import ConfigError, DataError
from zoo.metrics import RegionScores
from zoo.structures import IGNORED, Batch
from zoo.tasks import SegmentationTask
from zoo.tasks._drawing import class_colour, mask_image, overlay

CLASSES = ("ground", "red", "blue")
SIZES = [(9, 14), (16, 16), (9, 14), (5, 3)]


def task(**options: Any) -> SegmentationTask:
    return SegmentationTask(classes=options.pop("classes", CLASSES), **options)


def padded_batch(sizes: list[tuple[int, int]]) -> Batch:
    """Images in the top left corner of a common padding, whose masks are ignored."""
    height, width = (max(column) for column in zip(*sizes, strict=True))
    images = torch.full((len(sizes), 3, height, width), 9.0)
    masks = torch.full((len(sizes), height, width), IGNORED)
    for row, (h, w) in enumerate(sizes):
        generator = torch.Generator().manual_seed(row)
        images[row, :, :h, :w] = torch.randn(3, h, w, generator=generator)
        masks[row, :h, :w] = torch.randint(0, 3, (h, w), generator=generator)
    return Batch(images, torch.tensor(sizes), torch.arange(len(sizes)), {"masks": masks})


def alone(batch: Batch, row: int) -> Batch:
    """One image without the padding."""
    height, width = batch.sizes[row].tolist()
    return Batch(
        batch.images[row : row + 1, :, :height, :width],
        batch.sizes[row : row + 1],
        batch.ids[row : row + 1],
        {"masks": batch.targets["masks"][row : row + 1, :height, :width]},
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "focal"])
def test_images_of_several_sizes_count_as_if_each_were_alone(
    hourglass: nn.Module, loss: str
) -> None:
    batch = padded_batch(SIZES)

    step = task(loss=loss).step(hourglass, batch)

    steps = [task(loss=loss).step(hourglass, alone(batch, row)) for row in range(len(SIZES))]
    total = sum(float(of.losses[loss].total) for of in steps)
    assert float(step.losses[loss].total) == pytest.approx(total, rel=1e-5)
    assert float(step.losses[loss].count) == sum(float(of.losses[loss].count) for of in steps)
    for row, (height, width) in enumerate(SIZES):
        assert torch.equal(step.predictions[row, :height, :width], steps[row].predictions[0])


def test_a_batch_changes_no_bit_of_an_evaluated_image(hourglass: nn.Module) -> None:
    batch = padded_batch([(16, 16)] * 8)

    logits = task()._logits(hourglass, batch)

    parts = [task()._logits(hourglass, alone(batch, row)) for row in range(8)]
    assert torch.equal(logits, torch.cat(parts))


def test_a_batch_of_training_is_one_pass(hourglass: nn.Module) -> None:
    seen: list[int] = []
    hourglass.train().register_forward_hook(lambda _, args, __: seen.append(len(args[0])))

    task(tile_px=8).step(hourglass, padded_batch([(16, 16)] * 8))

    assert seen == [8]


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "cross_entropy+dice", "focal"])
@pytest.mark.parametrize("ignore_index", [IGNORED, 2])
def test_the_counts_are_known_before_the_forward_pass(
    hourglass: nn.Module, loss: str, ignore_index: int
) -> None:
    batch = padded_batch(SIZES)
    segmentation = task(loss=loss, ignore_index=ignore_index, class_weights=[1.0, 2.0, 3.0])

    counts = segmentation.loss_counts(batch)

    losses = segmentation.step(hourglass, batch).losses
    assert {name: float(count) for name, count in counts.items()} == {
        name: float(of.count) for name, of in losses.items()
    }


def test_an_ignored_class_counts_in_no_loss_and_no_metric(hourglass: nn.Module) -> None:
    batch = padded_batch(SIZES)
    masks = batch.targets["masks"]
    without = Batch(
        batch.images, batch.sizes, batch.ids, {"masks": masks.masked_fill(masks == 2, IGNORED)}
    )

    ignoring = task(ignore_index=2).step(hourglass, batch)

    plain = task().step(hourglass, without)
    assert float(ignoring.losses["cross_entropy"].total) == float(
        plain.losses["cross_entropy"].total
    )
    metric = task(ignore_index=2).metrics("val")["region-scores"]
    metric.update(ignoring.predictions, batch)
    assert isinstance(metric, RegionScores)
    assert int(metric.matrix[2].sum()) == 0


def test_masks_smaller_than_images_leave_a_frame_of_context(valid: nn.Module) -> None:
    images = torch.randn(2, 3, 52, 52)
    masks = torch.randint(0, 3, (2, 40, 40))
    batch = Batch(images, torch.tensor([[52, 52]] * 2), torch.arange(2), {"masks": masks})

    step = task().step(valid, batch)

    assert torch.equal(step.predictions, valid(images).argmax(1))
    assert float(step.losses["cross_entropy"].count) == masks.numel()


def test_a_sigmoid_head_is_the_softmax_of_zero_and_its_logit(hourglass: nn.Module) -> None:
    class One(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, :1]

    segmentation = task(classes=("ground", "red"), head="sigmoid")
    images = torch.randn(2, 3, 32, 32)
    masks = torch.randint(0, 2, (2, 32, 32))
    batch = Batch(images, torch.tensor([[32, 32]] * 2), torch.arange(2), {"masks": masks})

    step = segmentation.step(One(), batch)

    assert segmentation.num_classes == 1
    torch.testing.assert_close(
        step.losses["cross_entropy"].total,
        nn.functional.binary_cross_entropy_with_logits(
            images[:, 0], masks.float(), reduction="sum"
        ),
    )
    assert torch.equal(step.predictions, (images[:, 0] > 0).long())


def test_answers_have_each_images_own_size_and_areas(hourglass: nn.Module) -> None:
    answers = task().predict(hourglass, padded_batch(SIZES))

    assert [tuple(answer["mask"].shape) for answer in answers] == SIZES
    for answer in answers:
        assert sum(of["pixels"] for of in answer["classes"]) == answer["mask"].numel()
        assert sum(of["fraction"] for of in answer["classes"]) == pytest.approx(1.0)
        assert answer["exact"]


def test_an_approximate_answer_says_so(hourglass: nn.Module) -> None:
    segmentation = task(tile_px=8, overlap_px=4)

    [answer] = segmentation.predict(hourglass, padded_batch([(30, 30)]))

    assert not segmentation.as_json(answer)["exact"]
    assert "approximate" in segmentation.describe(answer)


def an_answer() -> dict[str, Any]:
    mask = torch.zeros(4, 10, dtype=torch.uint8)
    mask[:, 5:] = 2
    return task()._answer(mask, exact=True)


def test_an_answer_in_json_holds_the_area_of_each_class() -> None:
    document = task().as_json(an_answer())

    assert document == {
        "height_px": 4,
        "width_px": 10,
        "exact": True,
        "classes": [
            {"label": "ground", "index": 0, "pixels": 20, "fraction": 0.5},
            {"label": "blue", "index": 2, "pixels": 20, "fraction": 0.5},
        ],
    }


def test_an_answer_in_a_line_names_the_largest_class_first() -> None:
    assert task().describe(an_answer()) == "ground 50.0 %  blue 50.0 %"


def test_the_saved_mask_holds_class_numbers_in_the_colours_of_voc() -> None:
    pictures = task().pictures(Image.new("RGB", (10, 4), "white"), an_answer())

    mask = pictures["mask"]
    assert mask.mode == "P"
    assert np.asarray(mask)[0].tolist() == [0] * 5 + [2] * 5
    assert mask.convert("RGB").getpixel((9, 0)) == (0, 128, 0)
    assert pictures["picture"].width >= 240


def test_an_overlay_tints_everything_but_the_background() -> None:
    picture = overlay(Image.new("L", (10, 4), 200), an_answer()["mask"].numpy())

    assert picture.getpixel((0, 0)) == (200, 200, 200)
    assert picture.getpixel((9, 0)) == (100, 164, 100)


def test_all_classes_have_colours_of_their_own() -> None:
    assert len({class_colour(index) for index in range(256)}) == 256
    assert mask_image(np.zeros((2, 2), np.uint8)).getpalette()[:6] == [0, 0, 0, 128, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "dise"}, "unknown loss 'dise'"),
        ({"head": "sigmoid"}, "two classes apart"),
        ({"class_weights": [1.0]}, "1 number for 3 classes"),
        ({"tile_px": 0}, "tile_px"),
        ({"overlap_px": -1}, "overlap_px"),
        ({"focal_gamma": -1.0}, "focal_gamma"),
        ({"border_sigma_px": 0.0}, "border_sigma_px"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(**options)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="one class, 'ground'"):
        task(classes=("ground",)).check_data({})


@pytest.mark.parametrize("options", [{}, {"loss": "focal", "ignore_index": 1, "tile_px": 99}])
def test_the_options_build_the_task_again(options: dict[str, Any]) -> None:
    built = task(**options)

    assert task(**built.options()).options() == built.options()
