"""Offsets, anchors, matching and the choice of samples, against torchvision and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, box_iou

from zoo.structures import SampleKey
from zoo_rcnn.anchors import Anchors
from zoo_rcnn.box_coder import UNIT_SPREAD, decode, encode
from zoo_rcnn.fpn import align_on_pyramid, pyramid_level
from zoo_rcnn.matching import IGNORED, Matching
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Truth, to_rois, truths


def random_boxes(count: int, seed: int, reach: float = 100.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * reach
    return torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 40], dim=1)


NOWHERE = torch.zeros(0, 4)


def truth_of(boxes: Tensor, crowds: Tensor = NOWHERE, difficult: Tensor = NOWHERE) -> Truth:
    return Truth(boxes, torch.arange(1, len(boxes) + 1), crowds, difficult)


# --- offsets ---------------------------------------------------------------------------------


def test_offsets_are_torchvisions() -> None:
    boxes, references = random_boxes(50, seed=0), random_boxes(50, seed=1)
    coder = BoxCoder(UNIT_SPREAD)

    offsets = encode(boxes, references, UNIT_SPREAD)

    torch.testing.assert_close(offsets, coder.encode_single(boxes, references))
    wild = torch.cat([offsets, 30 * offsets], dim=1)
    expected = coder.decode(wild, [references])
    assert torch.equal(decode(wild.unflatten(1, (2, 4)), references, UNIT_SPREAD), expected)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_decoding_undoes_encoding(seed: int) -> None:
    boxes, references = random_boxes(8, seed), random_boxes(8, seed + 1)

    again = decode(encode(boxes, references), references)

    torch.testing.assert_close(again, boxes, atol=1e-3, rtol=1e-4)


def test_a_wild_prediction_stays_finite() -> None:
    box = decode(torch.full((1, 4), 1e4), torch.tensor([[0.0, 0, 16, 16]]))

    assert box.isfinite().all()
    assert (box[0, 2] - box[0, 0]).item() == pytest.approx(1000, rel=1e-3)


# --- anchors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "image_size", "strides"),
    [
        (((32,), (64,), (128,)), (160, 224), (4, 8, 16)),
        (((128, 256, 512),), (100, 75), (16,)),
        (((12, 20), (24, 40)), (33, 47), (2, 4)),
    ],
)
def test_anchors_are_torchvisions(
    sizes: tuple[tuple[float, ...], ...], image_size: tuple[int, int], strides: tuple[int, ...]
) -> None:
    ratios = (0.5, 1.0, 2.0)
    maps = [
        torch.zeros(1, 1, math.ceil(image_size[0] / s), math.ceil(image_size[1] / s))
        for s in strides
    ]

    anchors = Anchors(sizes, ratios)(image_size, maps)

    generator = AnchorGenerator(sizes, (ratios,) * len(sizes))
    expected = generator(ImageList(torch.zeros(1, 3, *image_size), [image_size]), maps)
    assert torch.equal(torch.cat(anchors), expected[0])


def test_anchors_of_a_cell_are_centred_on_its_corner_with_equal_areas() -> None:
    [anchors] = Anchors(((64,),), (0.5, 1.0, 2.0))((32, 32), [torch.zeros(1, 1, 2, 2)])

    last_cell = anchors[-3:]
    size = last_cell[:, 2:] - last_cell[:, :2]
    assert (last_cell[:, :2] + last_cell[:, 2:] == 32).all()
    assert size.prod(dim=1).tolist() == pytest.approx([64 * 64] * 3, rel=0.03)
    assert (size[:, 1] / size[:, 0]).tolist() == pytest.approx([0.5, 1, 2], rel=0.03)


# --- matching --------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_best", [True, False])
def test_matching_is_torchvisions(keep_best: bool) -> None:
    truth, candidates = truth_of(random_boxes(6, seed=2)), random_boxes(300, seed=3)

    objects, labels = Matching(0.5, (0.0, 0.2), keep_best)(candidates, truth)

    expected = Matcher(0.5, 0.2, allow_low_quality_matches=keep_best)(
        box_iou(truth.boxes, candidates)
    )
    assert torch.equal(labels == 0, expected == -1)
    assert torch.equal(labels == IGNORED, expected == -2)
    assert torch.equal(objects[labels > 0], expected[labels > 0])
    assert torch.equal(labels[labels > 0], expected[labels > 0] + 1)
    assert {0, IGNORED} < set(labels.tolist())


def test_background_below_its_range_is_ignored_unless_there_are_no_objects() -> None:
    matching = Matching(0.5, (0.1, 0.5))
    candidates = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 30], [80, 80, 90, 90]])

    _, labels = matching(candidates, truth_of(torch.tensor([[0.0, 0, 10, 10]])))
    _, of_empty = matching(candidates, truth_of(torch.zeros(0, 4)))

    assert labels.tolist() == [1, 0, IGNORED]
    assert of_empty.tolist() == [0, 0, 0]


def test_an_object_that_nothing_overlaps_takes_no_candidate() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])

    _, labels = Matching(0.7, (0.0, 0.3), keep_best=True)(
        candidates, truth_of(torch.tensor([[50.0, 50, 60, 60]]))
    )

    assert labels.tolist() == [0, 0]


def test_candidates_inside_a_crowd_are_no_background_but_can_be_objects() -> None:
    truth = truth_of(torch.tensor([[0.0, 0, 10, 10]]), crowds=torch.tensor([[0.0, 0, 50, 50]]))
    candidates = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [45, 45, 60, 60]])

    _, labels = Matching(0.5, (0.0, 0.5))(candidates, truth)

    assert labels.tolist() == [1, IGNORED, 0]


@pytest.mark.parametrize(
    ("matching", "labels"),
    [
        (Matching(0.5, (0.0, 0.5)), [1, IGNORED, 0, 0]),
        (Matching(0.7, (0.0, 0.3), keep_best=True), [1, IGNORED, IGNORED, 0]),
        (Matching(0.5, (0.1, 0.5)), [1, IGNORED, IGNORED, IGNORED]),
    ],
    ids=["regions", "anchors", "background near objects alone"],
)
def test_what_lies_on_a_difficult_object_is_no_background_and_stands_for_nothing(
    matching: Matching, labels: list[int]
) -> None:
    truth = truth_of(torch.tensor([[0.0, 0, 10, 10]]), difficult=torch.tensor([[20.0, 20, 30, 30]]))
    candidates = torch.tensor(
        [[0.0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 24, 30], [40, 0, 50, 9]]
    )

    _, found = matching(candidates, truth)

    assert found.tolist() == labels


def test_on_an_image_of_difficult_objects_alone_the_rest_is_background() -> None:
    truth = truth_of(NOWHERE, difficult=torch.tensor([[0.0, 0, 10, 10]]))
    candidates = torch.tensor([[0.0, 0, 10, 11], [50, 50, 60, 60]])

    _, labels = Matching(0.5, (0.1, 0.5))(candidates, truth)

    assert labels.tolist() == [IGNORED, 0]


def test_padding_crowds_and_difficult_objects_do_not_count() -> None:
    targets = {
        "boxes": torch.tensor([[[1.0, 1, 2, 2], [3, 3, 9, 9], [4, 4, 5, 5], [0, 0, 0, 0]]]),
        "labels": torch.tensor([[4, 0, 1, -1]]),
        "crowd": torch.tensor([[False, True, False, False]]),
        "difficult": torch.tensor([[False, True, True, True]]),
    }

    [truth] = truths(targets)

    assert truth.boxes.tolist() == [[1, 1, 2, 2]]
    assert truth.labels.tolist() == [5]
    assert truth.crowds.tolist() == [[3, 3, 9, 9]]
    assert truth.difficult.tolist() == [[4, 4, 5, 5]]


# --- sampling --------------------------------------------------------------------------------

LABELS = torch.tensor([1] * 40 + [0] * 100 + [-1] * 60)


@pytest.mark.parametrize(
    ("labels", "foreground", "background"),
    [
        (LABELS, 16, 48),
        (torch.tensor([2] * 3 + [0] * 100), 3, 61),
        (torch.tensor([2] * 100 + [0] * 5), 16, 5),
        (torch.tensor([-1] * 9), 0, 0),
        (torch.zeros(0, dtype=torch.int64), 0, 0),
    ],
    ids=["plenty", "few objects", "little background", "nothing to learn", "nothing"],
)
def test_the_quota_is_shared(labels: Tensor, foreground: int, background: int) -> None:
    chosen = Sampling(64, 0.25, stream="rois")(labels, SampleKey(0, 1), seed=0)

    assert ((labels[chosen] > 0).sum(), (labels[chosen] == 0).sum()) == (foreground, background)
    assert len(set(chosen.tolist())) == len(chosen) == foreground + background


def test_every_candidate_is_drawn_about_as_often_as_any_other() -> None:
    sampling = Sampling(64, 0.25, stream="rois")

    drawn = torch.cat([sampling(LABELS, SampleKey(0, index), seed=0) for index in range(500)])

    counts = torch.bincount(drawn, minlength=len(LABELS)) / 500
    assert counts[:40].min() > 0.3
    assert counts[:40].max() < 0.5
    assert counts[40:140].min() > 0.38
    assert counts[40:140].max() < 0.58
    assert counts[140:].max() == 0


@pytest.mark.parametrize(
    ("stream", "key", "seed"),
    [
        ("anchors", SampleKey(0, 1), 0),
        ("rois", SampleKey(0, 1), 1),
        ("rois", SampleKey(1, 1), 0),
        ("rois", SampleKey(0, 2), 0),
    ],
    ids=["stream", "seed", "epoch", "index"],
)
def test_the_choice_depends_on_every_part_of_its_key(
    stream: str, key: SampleKey, seed: int
) -> None:
    sampling = Sampling(64, 0.25, stream="rois")
    first = sampling(LABELS, SampleKey(0, 1), seed=0)

    assert first.tolist() == sampling(LABELS, SampleKey(0, 1), seed=0).tolist()
    assert first.tolist() != Sampling(64, 0.25, stream=stream)(LABELS, key, seed=seed).tolist()


# --- levels of a pyramid ---------------------------------------------------------------------


def test_a_region_belongs_to_the_level_of_its_size() -> None:
    sides = torch.tensor([8.0, 111, 112, 223, 224, 447, 448, 2000, 0])
    rois = torch.stack([torch.zeros(9), torch.zeros(9), torch.zeros(9), sides, sides], dim=1)

    levels = pyramid_level(rois, strides=(4, 8, 16, 32))
    without_one = pyramid_level(rois, strides=(4, 8, 32))
    alone = pyramid_level(rois, strides=(16,))

    assert levels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0]
    assert without_one.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 0]
    assert alone.tolist() == [0] * 9


def test_regions_are_pooled_from_their_levels_as_torchvision_does() -> None:
    generator = torch.Generator().manual_seed(4)
    maps = {
        str(i): torch.randn(2, 5, 512 // stride, 640 // stride, generator=generator)
        for i, stride in enumerate((4, 8, 16, 32))
    }
    boxes = [random_boxes(20, 5, 400) * 1.1, random_boxes(30, 6, 200) * 2]

    pooled = align_on_pyramid(list(maps.values()), to_rois(boxes), strides=(4, 8, 16, 32), bins=7)

    theirs = MultiScaleRoIAlign(list(maps), output_size=7, sampling_ratio=2)
    assert torch.equal(pooled, theirs(maps, boxes, [(512, 640), (512, 640)]))
