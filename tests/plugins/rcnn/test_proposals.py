"""Proposals from outside: they find objects, and the same ones whenever they are asked."""

import math
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import UsageError
from zoo.proposals import recall_of_boxes
from zoo_rcnn.proposals import grid_proposals, outside_proposals
from zoo_rcnn.selective_search import selective_search


def recall(proposals: list[Tensor], objects: list[Tensor], iou: float = 0.5) -> float:
    found, truth = ([boxes.numpy() for boxes in of] for of in (proposals, objects))
    return recall_of_boxes(found, truth, (iou,)).get(iou, math.nan)


def scene(seed: int) -> tuple[NDArray[np.uint8], Tensor]:
    """A picture of 90 x 120 px with three discs of other colours on a noisy ground, apart."""
    generator = np.random.default_rng(seed)
    image = generator.normal(100, 4, (90, 120, 3))
    rows, columns = np.mgrid[:90, :120]
    boxes = []
    for left in (0, 40, 80):
        radius = generator.integers(9, 18)
        x, y = left + 20, generator.integers(radius, 90 - radius)
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        image[disc] = generator.choice([20, 60, 160, 230], 3) + generator.normal(0, 4, 3)
        boxes.append([x - radius, y - radius, x + radius + 1, y + radius + 1])
    return image.clip(0, 255).astype(np.uint8), torch.tensor(boxes).float()


@pytest.fixture
def opencv() -> None:
    """What selective search needs, an extra of the plugin."""
    pytest.importorskip("cv2")


SCENES = [scene(seed) for seed in range(5)]
OBJECTS = [boxes for _, boxes in SCENES]


@pytest.fixture(scope="module")
def found() -> list[Tensor]:
    """What selective search proposes for each scene."""
    pytest.importorskip("cv2")
    return [selective_search(image, side_px=240)[0] for image, _ in SCENES]


def test_selective_search_finds_the_objects(found: list[Tensor]) -> None:
    assert recall(found, OBJECTS) >= 0.9


def test_the_first_proposals_find_more_than_the_last_do(found: list[Tensor]) -> None:
    first = [boxes[: len(boxes) // 4] for boxes in found]
    last = [boxes[-(len(boxes) // 4) :] for boxes in found]

    assert recall(first, OBJECTS) > recall(last, OBJECTS)


def test_selective_search_gives_the_same_whenever_it_is_asked(opencv: None) -> None:
    image, _ = SCENES[0]

    boxes, scores = selective_search(image, side_px=240)
    selective_search(SCENES[1][0], side_px=240)
    again, _ = selective_search(image, side_px=240)

    assert torch.equal(boxes, again)
    assert bool((scores.diff() < 0).all())
    assert 0 < scores.min() <= scores.max() == 1


def test_selective_search_gives_boxes_of_the_image_without_doubles(opencv: None) -> None:
    image, _ = SCENES[0]

    boxes, _ = selective_search(image, side_px=240)

    assert len(boxes.unique(dim=0)) == len(boxes)
    assert bool((boxes[:, :2] >= 0).all())
    assert bool((boxes[:, 2:] > boxes[:, :2]).all())
    assert bool((boxes[:, 2] <= 120).all())
    assert bool((boxes[:, 3] <= 90).all())
    assert len(selective_search(image, side_px=240, limit=7)[0]) == 7


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (300, 3)])
def test_selective_search_takes_the_smallest_images(size: tuple[int, int], opencv: None) -> None:
    boxes, scores = selective_search(np.zeros((*size, 3), dtype=np.uint8), side_px=60)

    assert len(boxes) == len(scores) >= 1


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(UsageError, match=r"zoo-rcnn\[selective-search\]"):
        selective_search(SCENES[0][0])


@pytest.mark.parametrize("size", [(90, 120), (96, 96), (480, 640)])
def test_every_object_of_usual_size_and_shape_has_a_window_of_the_grid(
    size: tuple[int, int],
) -> None:
    height, width = size
    generator = torch.Generator().manual_seed(0)
    side = (0.16 + 0.7 * torch.rand(300, generator=generator)) * min(size)
    ratio = (torch.rand(300, generator=generator) * 1.4 - 0.7).exp()
    sides = torch.stack([side / ratio.sqrt(), side * ratio.sqrt()], dim=1)
    sides = sides.minimum(torch.tensor([width, height]))
    corners = torch.rand(300, 2, generator=generator) * (torch.tensor([width, height]) - sides)

    proposals = grid_proposals(height, width)

    assert len(proposals) < 3000
    assert recall([proposals], [torch.cat([corners, corners + sides], dim=1)]) > 0.97


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (96, 64)])
def test_windows_lie_in_the_image(size: tuple[int, int]) -> None:
    proposals = grid_proposals(*size)

    assert len(proposals) > 0
    assert proposals.min() >= 0
    assert proposals[:, 2].max() <= size[1] + 1e-4
    assert proposals[:, 3].max() <= size[0] + 1e-4


def test_proposals_of_a_batch_come_without_padding() -> None:
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    targets = {"proposals": boxes, "proposal_counts": torch.tensor([3, 0])}

    given = outside_proposals([(50, 50), (50, 50)], targets, torch.device("cpu"))

    assert torch.equal(given[0], boxes[0])
    assert given[1].shape == (0, 4)


def test_recall_is_a_share_of_all_objects() -> None:
    objects = [torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]]), torch.tensor([[0.0, 0, 8, 8]])]
    proposals = [torch.tensor([[0.0, 0, 10, 9], [20, 20, 28, 40]]), torch.zeros(0, 4)]

    assert recall(proposals, objects) == pytest.approx(1 / 3)
    assert recall(proposals, objects, iou=0.3) == pytest.approx(2 / 3)
    assert math.isnan(recall([torch.zeros(0, 4)], [torch.zeros(0, 4)]))
