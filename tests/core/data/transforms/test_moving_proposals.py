"""Proposals move with their image exactly as boxes do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.cards import InputSpec
from zoo.data.builtin import digit_boxes
from zoo.data.loading import Loader
from zoo.data.transforms import DrawingTransform, box_transforms
from zoo.data.transforms._box_stage import mirror, resize_sample, see
from zoo.structures import Sample, SampleKey

SPEC = InputSpec(channels=1, size_px=64, mean=(0.5,), std=(0.5,))
HEIGHT, WIDTH = 48, 64
OPTIONS = [
    {"resize": "fit", "scale": [0.5, 2.0], "flip": 0.5},
    {"resize": "none", "scale": [1.0, 3.0], "flip": 0.0, "least_visible": 0.7},
    {"resize": "short-side", "short_side_px": 30, "long_side_px": 50, "crop": 1.0, "flip": 1.0},
]


@st.composite
def some_boxes(draw: st.DrawFn) -> Tensor:
    count = draw(st.integers(0, 6))
    sides = [
        sorted(draw(st.tuples(st.integers(0, end - 1), st.integers(1, end))))
        for _ in range(count)
        for end in (WIDTH, HEIGHT)
    ]
    corners = torch.tensor(sides, dtype=torch.float32).reshape(count, 2, 2)
    boxes = torch.cat([corners[:, :, 0], corners[:, :, 1]], dim=1)
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    return boxes


def proposed(boxes: Tensor, /, **targets: Tensor) -> Sample:
    image = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    return Sample(image, {**targets, "proposals": boxes, "proposal_counts": len(boxes)})


def labelled(boxes: Tensor) -> dict[str, Tensor]:
    return {"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.int64)}


def assert_moved_alike(sample: Sample) -> None:
    boxes = torch.as_tensor(sample.targets["boxes"])
    assert torch.equal(torch.as_tensor(sample.targets["proposals"]), boxes)
    assert sample.targets["proposal_counts"] == len(boxes)


@given(boxes=some_boxes(), index=st.integers(0, 50))
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options["resize"])
def test_the_whole_stage_moves_both_alike(
    options: dict[str, Any], boxes: Tensor, index: int
) -> None:
    stage = box_transforms(train=True, spec=SPEC, seed=1, **options).sample
    assert stage is not None

    moved = stage(proposed(boxes, **labelled(boxes)), SampleKey(0, index))

    assert_moved_alike(moved)


class Scenes:
    """Two scenes of digits whose first boxes are proposed."""

    def __init__(self, *counts: int) -> None:
        self.scenes = digit_boxes(train=1, val=len(counts))["val"]
        self.classes = self.scenes.classes
        self.counts = counts
        self.describe = self.scenes.describe
        self.fingerprint = self.scenes.fingerprint

    def __len__(self) -> int:
        return len(self.scenes)

    def load(self, index: int) -> Sample:
        sample = self.scenes.load(index)
        boxes = torch.as_tensor(sample.targets["boxes"])[: self.counts[index]]
        return Sample(
            sample.image,
            {**sample.targets, "proposals": boxes, "proposal_counts": len(boxes)},
        )


@pytest.mark.parametrize("index", range(4))
def test_images_that_are_joined_bring_their_proposals(index: int) -> None:
    scenes = Scenes(9, 9, 9, 9)
    made = box_transforms(train=True, spec=SPEC, seed=1, resize="none", flip=0.5, mosaic=1.0).sample
    assert isinstance(made, DrawingTransform)

    joined = made.drawing_from(scenes)(scenes.load(index), SampleKey(0, index))

    assert_moved_alike(joined)


@given(boxes=some_boxes(), window=st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 28)] * 2))
def test_a_part_of_an_image_keeps_the_proposals_that_are_seen_in_it(
    boxes: Tensor, window: tuple[int, int, int, int]
) -> None:
    seen = see(proposed(boxes, **labelled(boxes)), window, least_visible=0.0)

    kept = torch.as_tensor(seen.targets["proposals"])
    assert_moved_alike(seen)
    assert bool((kept[:, 2:] > kept[:, :2]).all())
    assert bool((kept >= 0).all())
    assert bool((kept <= torch.tensor([window[3], window[2]] * 2)).all())


@given(boxes=some_boxes())
def test_images_without_boxes_move_their_proposals_too(boxes: Tensor) -> None:
    with_boxes = mirror(resize_sample(proposed(boxes, **labelled(boxes)), 24, 96, mode="bilinear"))
    alone = mirror(resize_sample(proposed(boxes), 24, 96, mode="bilinear"))

    assert torch.equal(
        torch.as_tensor(alone.targets["proposals"]), torch.as_tensor(with_boxes.targets["boxes"])
    )
    assert "boxes" not in alone.targets


@pytest.mark.parametrize("flip", [0.0, 1.0], ids=["as they are", "transformed"])
def test_images_of_a_batch_are_padded_to_the_most_proposals(flip: float) -> None:
    made = box_transforms(train=True, spec=SPEC, seed=1, resize="none", flip=flip)
    loader = Loader(Scenes(1, 2), made.sample, workers=0, fill=made.fill)

    batch = made.batch(next(iter(loader.batches([[SampleKey(0, 0), SampleKey(0, 1)]]))))

    assert batch.targets["proposals"].shape == (2, 2, 4)
    assert batch.targets["proposal_counts"].tolist() == [1, 2]
    assert bool((batch.targets["proposals"][0, 0] > 0).all())
    assert batch.targets["proposals"][0, 1].tolist() == [0, 0, 0, 0]
