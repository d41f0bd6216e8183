"""Masks drawn from the segmentations of COCO's JSON files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask

from zoo.config import DataConfig
from zoo.data.datasets import Source
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry
from zoo.structures import IGNORED
from zoo.tasks import SegmentationTask

Write = Callable[..., Path]
WIDTH, HEIGHT = 8, 6
CATEGORIES = {3: "cat", 9: "dog"}


def rectangle(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y1:y2, x1:x2] = 1
    return pixels


def polygon(x1: int, y1: int, x2: int, y2: int) -> list[list[float]]:
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def runs(x1: int, y1: int, x2: int, y2: int) -> dict[str, Any]:
    """Lengths of equal pixels down the columns, the first of them of zeros."""
    flat = rectangle(x1, y1, x2, y2).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    bounds = [0, *edges, flat.size]
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(bounds).tolist()}


def compressed(x1: int, y1: int, x2: int, y2: int) -> dict[str, Any]:
    encoded = mask.encode(np.asfortranarray(rectangle(x1, y1, x2, y2)))
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


@pytest.fixture
def write(tmp_path: Path, write_image: Write) -> Callable[..., Path]:
    """Write two images and a file whose annotations are all of the first one."""

    def write(*annotations: dict[str, Any]) -> Path:
        images = [
            {"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in (0, 1)
        ]
        for number in (0, 1):
            write_image(tmp_path / f"{number}.png", number, (WIDTH, HEIGHT))
        content = {
            "images": images,
            "annotations": [
                {"id": 70 + n, "image_id": 0, "category_id": 9, "bbox": [0, 0, 2, 2], **of}
                for n, of in enumerate(annotations)
            ],
            "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
        }
        file = tmp_path / "labels.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    return write


def opened(source: object, **data: Any) -> Source:
    return open_source(
        str(source), registry=default_registry(), data=DataConfig(**data), message=lambda _: None
    )


def masks_of(source: Source) -> list[list[list[int]]]:
    assert source.whole is not None
    return [
        torch.as_tensor(source.whole.load(index).targets["masks"]).tolist()
        for index in range(len(source.whole))
    ]


@pytest.mark.parametrize("form", [polygon, runs, compressed])
@pytest.mark.parametrize("corners", [(2, 1, 5, 4), (0, 0, 3, 2), (4, 0, 8, 6)])
def test_each_form_of_a_segmentation_is_drawn_as_its_pixels(
    form: Callable[..., Any], corners: tuple[int, ...], write: Write
) -> None:
    file = write({"segmentation": form(*corners)})

    source = opened(f"coco-masks:{file}")

    assert source.classes == ("background", "cat", "dog")
    assert masks_of(source) == [
        (2 * rectangle(*corners)).tolist(),
        np.zeros((HEIGHT, WIDTH), int).tolist(),
    ]


@pytest.mark.parametrize("small_first", [True, False])
def test_the_smaller_object_is_on_top_whatever_the_order(small_first: bool, write: Write) -> None:
    large = {"segmentation": polygon(0, 0, 6, 6)}
    small = {"segmentation": polygon(1, 1, 3, 3), "category_id": 3}
    file = write(*((small, large) if small_first else (large, small)))

    drawn = np.array(masks_of(opened(f"coco-masks:{file}"))[0])

    assert (drawn == 1).tolist() == rectangle(1, 1, 3, 3).astype(bool).tolist()
    assert (drawn == 2).sum() == 36 - 4


def test_of_equally_large_objects_the_later_is_on_top(write: Write) -> None:
    first, later = polygon(0, 0, 4, 4), polygon(2, 0, 6, 4)
    file = write({"segmentation": first, "category_id": 3}, {"segmentation": later})

    drawn = np.array(masks_of(opened(f"coco-masks:{file}"))[0])

    assert drawn[0].tolist() == [1, 1, 2, 2, 2, 2, 0, 0]


def test_a_crowd_counts_nowhere_except_where_a_smaller_object_is(write: Write) -> None:
    file = write(
        {"segmentation": runs(0, 0, 4, 6), "iscrowd": 1}, {"segmentation": polygon(0, 0, 2, 2)}
    )
    source = opened(f"coco-masks:{file}")

    drawn = np.array(masks_of(source)[0])

    assert ((drawn == IGNORED).sum(), (drawn == 2).sum()) == (20, 4)
    found = check_source(source)
    shown = [split.pixels["ignored"] for split in found.splits.values()]
    assert (sum(shown), found.bad_images) == (20, {})


def test_a_coco_file_by_itself_means_its_boxes_and_segmentation_says_what_to_do(
    write: Write,
) -> None:
    source = opened(write({"segmentation": polygon(0, 0, 2, 2)}))

    with pytest.raises(DataError, match="read as boxes") as caught:
        SegmentationTask(classes=source.classes).check_targets(source.splits)

    assert source.layout == "coco"
    assert "coco-masks:PATH" in caught.value.cure


def test_boxes_alone_are_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"labels.json has no segmentation in any") as caught:
        opened(f"coco-masks:{write({}, {'segmentation': []})}")

    assert "coco:PATH" in caught.value.cure


@pytest.mark.parametrize(
    ("annotation", "cause"),
    [
        ({}, "has no segmentation"),
        ({"segmentation": "yes"}, "not three or more pairs"),
        ({"segmentation": [[0, 0, 2, 2]]}, "not three or more pairs"),
        ({"segmentation": [[0, 0, 2, 2, 1, "x"]]}, "not made of numbers"),
        ({"segmentation": [[0, 0, 2, 2, 1, float("nan")]]}, "not made of numbers"),
        ({"segmentation": polygon(0, 0, 90, 3)}, "reaches 82 px out of the image, 8 x 6 px"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, r"have the size \[8, 6\]"),
        ({"segmentation": {"size": [6, 8], "counts": [47]}}, "do not add up to the 48 px"),
        ({"segmentation": {"size": [6, 8], "counts": [49, -1]}}, "not made of numbers from 0"),
        ({"segmentation": {"size": [6, 8], "counts": "1"}}, "do not add up to the 48 px"),
        ({"segmentation": {"size": [6, 8], "counts": "oo1"}}, "do not add up to the 48 px"),
        ({"segmentation": {"size": [6, 8], "counts": "oo"}}, "neither a list nor compressed"),
        ({"segmentation": polygon(0, 0, 2, 2), "category_id": 4}, "category 4 is not among"),
    ],
)
def test_a_bad_annotation_is_named_and_its_image_can_be_left_out(
    annotation: dict[str, Any], cause: str, write: Write
) -> None:
    file = write({"segmentation": polygon(0, 0, 2, 2)}, annotation)
    source = opened(f"coco-masks:{file}")

    with pytest.raises(DataError, match=rf"labels.json, annotation 1 \(id 71\).*{cause}"):
        SegmentationTask(classes=source.classes).check_data(source.splits)

    assert list(check_source(source).bad_images) == [str(file.parent / "0.png")]


def test_an_image_of_another_size_than_stated_cannot_be_used(
    write: Write, write_image: Write
) -> None:
    file = write({"segmentation": polygon(0, 0, 2, 2)})
    write_image(file.parent / "1.png", 1, (WIDTH + 1, HEIGHT))

    faults = check_source(opened(f"coco-masks:{file}")).bad_images

    assert list(faults) == [str(file.parent / "1.png")]
    assert faults[str(file.parent / "1.png")].endswith(f"is 9 x 6 px, and {file} says 8 x 6")


def test_the_fingerprint_changes_with_a_segmentation(write: Write) -> None:
    record = opened(f"coco-masks:{write({'segmentation': polygon(0, 0, 2, 2)})}").record()

    changed = opened(f"coco-masks:{write({'segmentation': polygon(0, 0, 2, 3)})}")

    assert "0.png has another mask" in str(changed.first_difference(record))
