"""Objects of many images in few arrays, and the judgement of many boxes at once."""

import numpy as np
import pytest

from zoo.data.boxes import Objects, ObjectTable
from zoo.data.boxes._faults import _are_good, clip, find_fault


def table(*counts: int) -> ObjectTable:
    total = sum(counts)
    boxes = np.arange(4 * total, dtype=np.float32).reshape(-1, 4)
    flags = np.zeros(total, dtype=np.bool_)
    whole = Objects(boxes, np.arange(total), flags, flags)
    return ObjectTable(whole, np.array(counts, dtype=np.int64))


def labels(objects: ObjectTable) -> list[list[int]]:
    return [of.labels.tolist() for of in objects]


def test_each_image_has_its_own_objects() -> None:
    objects = table(2, 0, 3)

    assert labels(objects) == [[0, 1], [], [2, 3, 4]]
    assert objects[2].boxes[0].tolist() == [8, 9, 10, 11]
    assert len(objects) == 3


@pytest.mark.parametrize(
    ("chosen", "expected"), [([2, 0], [[2, 3, 4], [0, 1]]), ([1], [[]]), ([], [])]
)
def test_some_images_keep_their_objects(chosen: list[int], expected: list[list[int]]) -> None:
    assert labels(table(2, 0, 3).only(chosen)) == expected


def test_objects_can_be_left_out_and_get_other_boxes() -> None:
    objects = table(2, 0, 3)
    keep = np.array([False, True, True, False, True])

    kept = objects.with_rows(keep, objects.whole.boxes + 1)

    assert labels(kept) == [[1], [], [2, 4]]
    assert kept[0].boxes.tolist() == [[5, 6, 7, 8]]
    assert objects.row_of(2, 1) == 3


def test_many_boxes_are_judged_as_each_by_itself() -> None:
    draw = np.random.default_rng(0)
    corners = draw.integers(-3, 44, (2000, 4)).astype(np.float64)
    corners[draw.random(corners.shape) < 0.05] = np.nan
    corners[draw.random(corners.shape) < 0.05] = np.inf
    limits = np.array([40, 30, 40, 30])

    good = _are_good(corners, np.clip(corners, 0, limits))

    expected = [not find_fault(tuple(box), 30, 40)[0] for box in corners.tolist()]
    assert good.tolist() == expected
    assert 100 < sum(expected) < 1900
    assert clip((-1, -1, 50, 20), 30, 40) == (0, 0, 40, 20)
