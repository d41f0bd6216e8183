"""Metrics of segmentation: their definitions, and that no split of the data changes them."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import accuracy_score, f1_score, jaccard_score
from torch import Tensor

from zoo.metrics import BoundaryScores, Metric, RandScore, RegionScores
from zoo.structures import IGNORED, Batch

CLASSES = ("background", "a", "b", "c", "never")
METRICS: dict[str, Callable[[], Metric]] = {
    "regions": lambda: RegionScores(classes=CLASSES),
    "boundaries": lambda: BoundaryScores(classes=CLASSES),
    "rand": lambda: RandScore(classes=CLASSES),
}


def maps(n: int = 9, *, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Masks and predictions (n, 12, 17) of blobs, some pixels of the masks ignored."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 4, (2, n, 3, 4), generator=generator)
    blobs = coarse.repeat_interleave(4, 2).repeat_interleave(5, 3)[..., :17]
    masks, predictions = (
        blobs[0].clone(),
        torch.where(torch.rand(n, 12, 17, generator=generator) < 0.6, blobs[0], blobs[1]),
    )
    masks[torch.rand(n, 12, 17, generator=generator) < 0.1] = IGNORED
    return masks, predictions


def batch_of(masks: Tensor, first: int = 0) -> Batch:
    n, height, width = masks.shape
    return Batch(
        images=torch.zeros(n, 1, height, width),
        sizes=torch.tensor([height, width]).expand(n, 2),
        ids=torch.arange(first, first + n),
        targets={"masks": masks},
    )


def updated(name: str, masks: Tensor, predictions: Tensor, sizes: list[int]) -> Metric:
    metric, first = METRICS[name](), 0
    parts = zip(masks.split(sizes), predictions.split(sizes), strict=True)
    for of_masks, of_predictions in parts:
        metric.update(of_predictions, batch_of(of_masks, first))
        first += len(of_masks)
    return metric


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(1, 8), max_size=4), order=st.permutations(range(9)))
def test_no_split_or_order_changes_a_value(name: str, cuts: list[int], order: list[int]) -> None:
    masks, predictions = maps()
    whole = updated(name, masks, predictions, [9]).compute()
    edges = sorted({0, 9, *cuts})
    sizes = [stop - start for start, stop in itertools.pairwise(edges)]

    value = updated(name, masks[list(order)], predictions[list(order)], sizes).compute()

    assert value == pytest.approx(whole, abs=0, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_merging_the_sums_of_two_processes_is_the_whole(name: str) -> None:
    masks, predictions = maps()
    whole = updated(name, masks, predictions, [9]).compute()
    first = updated(name, masks[:4], predictions[:4], [4])
    second = METRICS[name]()
    second.update(predictions[4:], batch_of(masks[4:], 4))

    second.merge(first)

    assert second.compute() == pytest.approx(whole, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_padding_that_is_ignored_changes_nothing(name: str) -> None:
    masks, predictions = maps()
    whole = updated(name, masks, predictions, [9]).compute()
    pad = torch.nn.functional.pad

    metric = METRICS[name]()
    metric.update(pad(predictions, (0, 6, 0, 5)), batch_of(pad(masks, (0, 6, 0, 5), value=IGNORED)))

    assert metric.compute() == pytest.approx(whole, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_a_class_to_be_ignored_counts_as_ignored_pixels_do(name: str) -> None:
    masks, predictions = maps()
    kinds = {"regions": RegionScores, "boundaries": BoundaryScores, "rand": RandScore}
    ignoring = kinds[name](classes=CLASSES, ignore_index=2)

    ignoring.update(predictions, batch_of(masks))

    plain = updated(name, masks.masked_fill(masks == 2, IGNORED), predictions, [9])
    assert ignoring.compute() == pytest.approx(plain.compute(), nan_ok=True)


def test_regions_equal_scikit_learn_on_the_flattened_pixels() -> None:
    masks, predictions = maps()
    inside = masks != IGNORED
    truth, answers = masks[inside].numpy(), predictions[inside].numpy()

    values = updated("regions", masks, predictions, [9]).compute()

    assert values["miou"] == pytest.approx(jaccard_score(truth, answers, average="macro"))
    assert values["mdice"] == pytest.approx(f1_score(truth, answers, average="macro"))
    assert values["pixel_accuracy"] == pytest.approx(accuracy_score(truth, answers))
    labels = [1, 2, 3]
    assert values["miou_foreground"] == pytest.approx(
        jaccard_score(truth, answers, average="macro", labels=labels)
    )
    assert values["mdice_foreground"] == pytest.approx(
        f1_score(truth, answers, average="macro", labels=labels)
    )


def test_scores_of_each_class_equal_scikit_learns() -> None:
    masks, predictions = maps()
    inside = masks != IGNORED
    truth, answers = masks[inside].numpy(), predictions[inside].numpy()
    metric = updated("regions", masks, predictions, [9])
    assert isinstance(metric, RegionScores)

    scores = metric.per_class()

    ious = [scores[name]["iou"] for name in CLASSES[:4]]
    dices = [scores[name]["dice"] for name in CLASSES[:4]]
    assert ious == pytest.approx(jaccard_score(truth, answers, average=None).tolist())
    assert dices == pytest.approx(f1_score(truth, answers, average=None).tolist())
    assert sum(of["pixels"] for of in scores.values()) == len(truth)


def test_a_class_that_never_occurs_is_left_out_and_said() -> None:
    masks, predictions = maps()

    details = updated("regions", masks, predictions, [9]).details()

    assert math.isnan(details["per_class"]["never"]["iou"])
    assert len(details["notes"]) == 1
    assert "never" in details["notes"][0]


def test_a_class_that_is_only_predicted_scores_zero() -> None:
    masks = torch.zeros(1, 2, 2, dtype=torch.int64)
    predictions = torch.tensor([[[0, 0], [0, 4]]])
    metric = RegionScores(classes=CLASSES)

    metric.update(predictions, batch_of(masks))

    assert metric.compute()["miou"] == pytest.approx((3 / 4 + 0) / 2)


def test_nothing_to_count_is_no_number() -> None:
    metric = RegionScores(classes=CLASSES)

    metric.update(torch.zeros(1, 2, 2).long(), batch_of(torch.full((1, 2, 2), IGNORED)))

    assert all(map(math.isnan, metric.compute().values()))


def test_boundaries_of_equal_maps_agree_wholly() -> None:
    masks, _ = maps()
    metric = BoundaryScores(classes=CLASSES)

    metric.update(masks.where(masks != IGNORED, 0), batch_of(masks))

    assert metric.compute() == {"boundary_f1": 1.0}


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (2, 1.0), (3, 0.0)])
def test_a_boundary_may_be_off_by_the_tolerance_and_no_more(shift: int, score: float) -> None:
    masks = torch.zeros(1, 8, 30, dtype=torch.int64)
    masks[..., 10:] = 1
    metric = BoundaryScores(classes=("left", "right"), tolerance_px=2)

    metric.update(masks.roll(shift, 2).index_fill(2, torch.arange(3), 0), batch_of(masks))

    assert metric.compute()["boundary_f1"] == score


def test_boundaries_equal_those_found_by_distances() -> None:
    masks, predictions = maps(1)
    masks = masks.where(masks != IGNORED, 1)
    metric = BoundaryScores(classes=CLASSES, tolerance_px=2)

    metric.update(predictions, batch_of(masks))

    def edge(values: np.ndarray, number: int) -> np.ndarray:
        own = values == number
        return own & ~ndimage.binary_erosion(own, border_value=1)

    pairs = [(edge(masks[0].numpy(), c), edge(predictions[0].numpy(), c)) for c in range(5)]
    near = [
        (ndimage.distance_transform_edt(~p) <= 2) & t if p.any() else np.zeros_like(t)
        for t, p in pairs
    ]
    assert metric.states["labelled"].tolist() == [int(t.sum()) for t, _ in pairs]
    assert metric.states["predicted"].tolist() == [int(p.sum()) for _, p in pairs]
    assert metric.states["labelled_right"].tolist() == [int(n.sum()) for n in near]


def two_cells(*, gap: bool) -> Tensor:
    mask = torch.zeros(1, 9, 21, dtype=torch.int64)
    mask[:, 1:8, 1:20] = 1
    mask[:, :, 10] = 0
    mask[:, 4, 10] = int(gap)
    return mask


@pytest.mark.parametrize(("gap", "score"), [(False, 1.0), (True, 2 / 3)])
def test_a_gap_of_one_pixel_joins_two_segments_and_costs_a_third(gap: bool, score: float) -> None:
    metric = RandScore(classes=("membrane", "cell"))

    metric.update(two_cells(gap=gap), batch_of(two_cells(gap=False)))

    # Two halves as one: together 1/4 + 1/4, alone 1 and 1/2.
    assert metric.compute()["rand_score"] == pytest.approx(score)


def test_the_rand_score_equals_counting_pairs_of_pixels() -> None:
    masks, predictions = maps(1, seed=11)
    truth = two_regions(masks.where(masks != IGNORED, 0)[0].numpy())
    answer = two_regions(predictions[0].numpy())
    inside = truth > 0
    same_truth = truth[inside][:, None] == truth[inside]
    same_answer = answer[inside][:, None] == answer[inside]
    metric = RandScore(classes=CLASSES)

    metric.update(predictions, batch_of(masks.where(masks != IGNORED, 0)))

    both = (same_truth & same_answer).sum()
    expected = both / (0.5 * same_truth.sum() + 0.5 * same_answer.sum())
    assert metric.compute()["rand_score"] == pytest.approx(expected)


def two_regions(values: np.ndarray) -> np.ndarray:
    """Numbers of the connected regions of each class; the background is 0."""
    labelled = [ndimage.label(values == c)[0] for c in range(1, 5)]
    offsets = np.cumsum([0, *(regions.max() for regions in labelled)])
    return sum(
        np.where(regions > 0, regions + offset, 0)
        for regions, offset in zip(labelled, offsets, strict=False)
    )
