import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from zoo.metrics import BoxPrecision, VOCPrecision
from zoo.structures import Batch, Detections

CLASSES = ("a", "b", "c", "never")
SUMMARY = [
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
]
"""In the order of pycocotools' own summary."""


def scene(seed: int, images: int = 6) -> tuple[list[Detections], Batch]:
    """Objects and detections with ties, crowds, empty images and boxes without area."""
    draw = np.random.default_rng(seed)
    found, boxes, labels, crowd = [], np.zeros((images, 8, 4)), np.full((images, 8), -1), []
    for image in range(images):
        count = int(draw.integers(0, 9)) * int(draw.integers(0, 4) > 0)
        corners = draw.integers(0, 120, (count, 2))
        boxes[image, :count] = np.hstack([corners, corners + draw.integers(1, 130, (count, 2))])
        labels[image, :count] = draw.integers(0, 3, count)
        crowd.append(draw.integers(0, 5, 8) == 0)
        copies = np.repeat(boxes[image, :count], draw.integers(0, 3, count), axis=0)
        near = copies + draw.integers(-6, 7, copies.shape) * draw.integers(0, 2, (len(copies), 1))
        far = draw.integers(0, 100, (int(draw.integers(0, 6)), 2))
        every = np.vstack([near, np.hstack([far, far + draw.integers(0, 60, far.shape)])])
        found.append(
            Detections(
                torch.tensor(every, dtype=torch.float32),
                torch.tensor(np.round(draw.random(len(every)), 1), dtype=torch.float32),
                torch.tensor(draw.integers(0, 3, len(every))),
            )
        )
    batch = Batch(
        torch.zeros(images, 1, 1, 1),
        torch.ones(images, 2, dtype=torch.int64),
        torch.tensor(draw.permutation(images * 3)[:images]),
        {
            "boxes": torch.tensor(boxes, dtype=torch.float32),
            "labels": torch.tensor(labels),
            "crowd": torch.tensor(np.array(crowd)),
            "difficult": torch.tensor(np.array(crowd)),
        },
    )
    return found, batch


def by_pycocotools(found: list[Detections], batch: Batch, folder: Path) -> list[float]:
    """From files, as its users have them."""
    categories = [{"id": 10 * number, "name": name} for number, name in enumerate(CLASSES)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    order = torch.argsort(batch.ids).tolist()
    for row in order:
        image, targets = int(batch.ids[row]), {k: v[row] for k, v in batch.targets.items()}
        for box, label, crowd in zip(
            targets["boxes"].tolist(),
            targets["labels"].tolist(),
            targets["crowd"].tolist(),
            strict=True,
        ):
            x, y, right, bottom = box
            annotations += [
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 10 * label,
                    "bbox": [x, y, right - x, bottom - y],
                    "area": (right - x) * (bottom - y),
                    "iscrowd": int(crowd),
                }
            ] * (label >= 0)
        of = found[row]
        for box, score, label in zip(
            of.boxes.tolist(), of.scores.tolist(), of.labels.tolist(), strict=True
        ):
            x, y, right, bottom = box
            results.append(
                {
                    "image_id": image,
                    "category_id": 10 * label,
                    "bbox": [x, y, right - x, bottom - y],
                    "score": score,
                }
            )
    truth = {"images": [{"id": int(i)} for i in batch.ids], "categories": categories}
    (folder / "truth.json").write_text(json.dumps({**truth, "annotations": annotations}))
    (folder / "found.json").write_text(json.dumps(results))
    coco = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(coco, coco.loadRes(str(folder / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [float("nan") if value == -1 else float(value) for value in evaluation.stats]


def filled(kind: type, found: list[Detections], batch: Batch, size: int = 100) -> Any:
    metric = kind(classes=CLASSES)
    for start in range(0, len(batch), size):
        metric.update(found[start : start + size], batch.rows(start, start + size))
    return metric


@pytest.mark.parametrize("seed", range(200))
def test_average_precision_is_that_of_pycocotools(seed: int, tmp_path: Path) -> None:
    found, batch = scene(seed)

    values = filled(BoxPrecision, found, batch).compute()

    expected = by_pycocotools(found, batch, tmp_path)
    assert list(values) == SUMMARY
    assert list(values.values()) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def reference_voc07(found: list[Detections], batch: Batch, label: int) -> float:
    """Detection by detection, as the devkit's VOCevaldet says."""
    objects = {
        int(image): [
            [box, bool(difficult or crowd), False]
            for box, of, difficult, crowd in zip(
                batch.targets["boxes"][row].tolist(),
                batch.targets["labels"][row].tolist(),
                batch.targets["difficult"][row].tolist(),
                batch.targets["crowd"][row].tolist(),
                strict=True,
            )
            if of == label
        ]
        for row, image in enumerate(batch.ids)
    }
    ranked = [
        (-score, int(batch.ids[row]), rank, box)
        for row, of in enumerate(found)
        for rank, (box, score, named) in enumerate(
            zip(of.boxes.tolist(), of.scores.tolist(), of.labels.tolist(), strict=True)
        )
        if named == label
    ]
    positives = sum(not ignored for of in objects.values() for _, ignored, _ in of)
    right, wrong, points = 0, 0, []
    for _, image, _, box in sorted(ranked, key=lambda of: of[:3]):
        overlaps = [overlap(box, other) for other, _, _ in objects[image]]
        best = max(range(len(overlaps)), key=overlaps.__getitem__, default=-1)
        if best >= 0 and overlaps[best] > 0.5:
            if objects[image][best][1]:
                continue
            right, wrong = (right, wrong + 1) if objects[image][best][2] else (right + 1, wrong)
            objects[image][best][2] = True
        else:
            wrong += 1
        points.append((right / max(positives, 1), right / (right + wrong)))
    if not positives:
        return float("nan")
    return (
        sum(max((p for r, p in points if r >= at), default=0.0) for at in np.arange(0.0, 1.1, 0.1))
        / 11
    )


def overlap(box: list[float], other: list[float]) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    inside = max(width, 0) * max(height, 0)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (box, other)]
    return inside / (sum(areas) - inside)


@pytest.mark.parametrize("seed", range(50))
def test_voc07_is_what_the_devkit_says_detection_by_detection(seed: int) -> None:
    found, batch = scene(seed)

    values = filled(VOCPrecision, found, batch).per_class()

    expected = [reference_voc07(found, batch, label) for label in range(len(CLASSES))]
    assert list(values.values()) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", [BoxPrecision, VOCPrecision])
@pytest.mark.parametrize("size", [1, 4])
def test_batches_change_nothing(kind: type, size: int) -> None:
    found, batch = scene(3, images=10)

    values = filled(kind, found, batch, size).compute()

    assert values == filled(kind, found, batch).compute()


@pytest.mark.parametrize("name", ["detections", "objects"])
def test_a_batch_copies_no_rows_of_the_batches_before(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, batch = scene(3, images=60)
    copied: list[int] = []
    join = torch.cat

    def counting(parts: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
        joined = join(parts, dim)
        copied.append(len(joined))
        return joined

    monkeypatch.setattr(torch, "cat", counting)
    metric = filled(BoxPrecision, found, batch, size=1)

    rows = sum(len(state) for state in metric.states.values())
    assert len(metric.states[name]) > 60
    assert sum(copied) < 3 * rows


@pytest.mark.parametrize("kind", [BoxPrecision, VOCPrecision])
def test_parts_merge_in_any_order(kind: type) -> None:
    found, batch = scene(5, images=10)
    first = filled(kind, found[7:], batch.rows(7, 10))
    second = filled(kind, found[:7], batch.rows(0, 7))

    first.merge(second)

    assert first.compute() == filled(kind, found, batch).compute()


def test_what_comes_after_a_computation_counts() -> None:
    found, batch = scene(7)
    metric = filled(BoxPrecision, found[:3], batch.rows(0, 3))
    metric.compute()

    metric.update(found[3:], batch.rows(3, 6))

    assert metric.compute() == filled(BoxPrecision, found, batch).compute()


@pytest.mark.parametrize("kind", [BoxPrecision, VOCPrecision])
def test_without_an_object_no_value_is_known(kind: type) -> None:
    found, batch = scene(1)
    batch.targets["labels"].fill_(-1)

    values = filled(kind, found, batch).compute()

    assert all(math.isnan(value) for value in values.values())


def test_perfect_detections_score_one_and_an_absent_class_is_left_out() -> None:
    _, batch = scene(2)
    batch.targets["crowd"].fill_(False)
    found = [
        Detections(boxes[labels >= 0], torch.ones(int((labels >= 0).sum())), labels[labels >= 0])
        for boxes, labels in zip(batch.targets["boxes"], batch.targets["labels"], strict=True)
    ]

    metric = filled(BoxPrecision, found, batch)

    details = metric.details()
    assert metric.compute()["ap"] == pytest.approx(1.0)
    assert details["per_class"]["a"]["ap"] == pytest.approx(1.0)
    assert math.isnan(details["per_class"]["never"]["ap"])
    assert details["notes"] == ["never: no object, left out of the means"]


def test_evaluation_says_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    filled(BoxPrecision, *scene(4)).compute()

    assert capsys.readouterr().out == ""
