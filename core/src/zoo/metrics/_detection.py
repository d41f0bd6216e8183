"""Average precision of boxes, as COCO and as Pascal VOC 2007 define it.

Shapes: b images of a batch, m boxes of an image after padding, n rows of all images.
``predictions`` are ``Detections``, one for each image; the truth is ``batch.targets``: ``boxes``
(b, m, 4), ``labels`` (b, m), -1 where padded, and where the data know them ``crowd`` and
``difficult`` (b, m) bool.  Both are in px of the batch's images; where ``own_sizes`` (b, 2) say how
large these really are, areas are counted in px of the images themselves.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.metrics._metric import Metric
from zoo.structures import Batch, Detections

Numbers = NDArray[np.float64]

_NAN = float("nan")
_IOUS = {"ap50": 0, "ap75": 5}
"""Of the ten thresholds 0.5, 0.55, ... 0.95."""
_SIZES = ("small", "medium", "large")
_LIMITS = (1, 10, 100)
"""Detections of an image and class, the best ones, that recall may count."""
_VOC_IOU = 0.5


class _BoxMetric(Metric):
    """Keeps every detection and every object as rows under their image's id.

    Average precision ranks all detections of a split, so that no sum over batches can stand for
    them.  Columns of "detections": image, label, x1 y1 x2 y2, score; of "objects": image, label,
    x1 y1 x2 y2, crowd, difficult.

    Args:
        classes: names, in the order of the labels.
    """

    gathered = frozenset({"detections", "objects"})
    _joined: dict[str, Tensor]
    _new: dict[str, list[Tensor]]

    def __init__(self, *, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.states = {
            "detections": torch.zeros(0, 7, dtype=torch.float64),
            "objects": torch.zeros(0, 8, dtype=torch.float64),
        }

    @property
    def states(self) -> dict[str, Tensor]:
        """The rows by name.  New ones are joined when asked for: each batch would copy them all."""
        for name, parts in self._new.items():
            self._joined[name] = torch.cat([self._joined[name], *parts])
        self._new = {}
        return self._joined

    @states.setter
    def states(self, states: dict[str, Tensor]) -> None:
        self._joined = states
        self._new = {}

    def to(self, device: torch.device) -> _BoxMetric:
        """Rows stay on the host: suppression has waited for it, and MPS has no float64."""
        return self

    def update(self, predictions: Sequence[Detections], batch: Batch) -> None:
        """Add the detections of each image, the best first, and its objects."""
        found = [
            _found(image, of, factors)
            for image, of, factors in zip(
                batch.ids.tolist(), predictions, _factors(batch), strict=True
            )
        ]
        self._new.setdefault("detections", []).extend(found)
        self._new.setdefault("objects", []).append(_objects(batch))

    def rows(self, name: str) -> Numbers:
        """The rows of a state in an order that no batch and no process decides."""
        rows: Numbers = self.states[name].numpy()
        return rows[np.argsort(rows[:, 0], kind="stable")]


class BoxPrecision(_BoxMetric):
    """COCO's average precision and recall (Lin 2014, arXiv:1405.0312), by faster-coco-eval.

    "ap" is the mean over ten thresholds of IoU from 0.5 to 0.95, 101 recalls and all classes;
    "ap50" and "ap75" have one threshold; "ap_small", "ap_medium" and "ap_large" count objects of
    up to 32 x 32 px, up to 96 x 96 px, and larger ones.  "ar1", "ar10" and "ar100" are the recall
    with so many detections of each image and class.  A class without an object has no score and is
    left out; where none has one, a value is NaN.  Crowds are neither found nor missed.
    """

    _scored: tuple[Tensor, Tensor, dict[str, Any]] | None = None

    def compute(self) -> dict[str, float]:
        """The means over the classes."""
        precision, recall = self._scores()["precision"], self._scores()["recall"]
        return {
            "ap": _mean(precision[..., 0, -1]),
            **{name: _mean(precision[at, ..., 0, -1]) for name, at in _IOUS.items()},
            **{f"ap_{name}": _mean(precision[..., 1 + at, -1]) for at, name in enumerate(_SIZES)},
            **{f"ar{limit}": _mean(recall[..., 0, at]) for at, limit in enumerate(_LIMITS)},
            **{f"ar_{name}": _mean(recall[..., 1 + at, -1]) for at, name in enumerate(_SIZES)},
        }

    def details(self) -> dict[str, Any]:
        """By class name "ap", "ap50", "ap75", "ar100" and "objects"; a note on absent classes."""
        precision, recall = self._scores()["precision"], self._scores()["recall"]
        objects = self.rows("objects")
        counted = objects[objects[:, 6] == 0, 1].astype(np.int64)
        counts = np.bincount(counted, minlength=len(self.classes)).tolist()
        per_class = {
            name: {
                "ap": _mean(precision[:, :, c, 0, -1]),
                **{key: _mean(precision[at, :, c, 0, -1]) for key, at in _IOUS.items()},
                "ar100": _mean(recall[:, c, 0, -1]),
                "objects": counts[c],
            }
            for c, name in enumerate(self.classes)
        }
        absent = [name for name, of in per_class.items() if not of["objects"]]
        notes = [f"{', '.join(absent)}: no object, left out of the means"] if absent else []
        return {"per_class": per_class, "notes": notes}

    def _scores(self) -> dict[str, Any]:
        """What the library makes of the rows; asked for more than once, and not cheap."""
        known, detections, objects = self._scored, *self.states.values()
        if known is None or known[0] is not detections or known[1] is not objects:
            scores = _coco_scores(self.rows("detections"), self.rows("objects"), len(self.classes))
            known = self._scored = (detections, objects, scores)
        return known[2]


class VOCPrecision(_BoxMetric):
    """Pascal VOC 2007's average precision: the mean of the precision at 11 recalls, at IoU 0.5.

    Detections of a class are taken by falling score, each for the object that it overlaps most
    (more than half); an object that was found already makes it wrong.  Difficult objects and
    crowds are neither found nor missed.  Differs from the devkit: boxes are edges, not whole
    pixels, so that no pixel is added to heights and widths.
    """

    def compute(self) -> dict[str, float]:
        """The mean over the classes with objects as "voc07_ap50"."""
        known = [value for value in self.per_class().values() if not math.isnan(value)]
        return {"voc07_ap50": math.fsum(known) / len(known) if known else _NAN}

    def per_class(self) -> dict[str, float]:
        """By class name; NaN without an object that counts."""
        detections, objects = self.rows("detections"), self.rows("objects")
        return {
            name: _voc_precision(detections[detections[:, 1] == c], objects[objects[:, 1] == c])
            for c, name in enumerate(self.classes)
        }


def _objects(batch: Batch) -> Tensor:
    """(n, 8) rows of the objects of a batch."""
    labels = batch.targets["labels"]
    none = torch.zeros_like(labels)
    crowd, difficult = (batch.targets.get(name, none) for name in ("crowd", "difficult"))
    images = batch.ids[:, None].expand_as(labels)
    rows = torch.stack([images, labels, crowd, difficult], dim=2)[labels >= 0].cpu().double()
    boxes = batch.targets["boxes"].cpu().double() * _factors(batch)[:, None]
    return torch.cat([rows[:, :2], boxes[labels.cpu() >= 0], rows[:, 2:]], dim=1)


def _found(image: int, found: Detections, factors: Tensor) -> Tensor:
    """(n, 7) rows of the detections of an image."""
    labels, scores = (of.detach().cpu().double()[:, None] for of in (found.labels, found.scores))
    boxes = found.boxes.detach().cpu().double() * factors
    return torch.cat([torch.full_like(labels, image), labels, boxes, scores], dim=1)


def _factors(batch: Batch) -> Tensor:
    """(b, 4) px of each image itself for a px of the batch, for x1 y1 x2 y2."""
    sizes = batch.sizes.cpu().double()
    own_sizes = batch.targets.get("own_sizes", sizes).cpu().double()
    return (own_sizes / sizes).flip(1).repeat(1, 2)


def _coco_scores(detections: Numbers, objects: Numbers, num_classes: int) -> dict[str, Any]:
    """The arrays of COCO's evaluation, -1 where nothing is known.

    Returns:
        "precision" (10 thresholds, 101 recalls, classes, 4 sizes, 3 limits) and "recall"
        (10, classes, 4, 3).
    """
    from faster_coco_eval import COCOeval_faster

    if not len(objects):
        shape = (num_classes, 1 + len(_SIZES), len(_LIMITS))
        return {"precision": np.full((10, 101, *shape), -1.0), "recall": np.full((10, *shape), -1)}
    images = np.union1d(detections[:, 0], objects[:, 0]).astype(int).tolist()
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it does
        evaluation = COCOeval_faster(
            _as_coco(objects, images, num_classes, crowd=objects[:, 6]),
            _as_coco(detections, images, num_classes, score=detections[:, 6]),
            "bbox",
        )
        evaluation.evaluate()
        evaluation.accumulate()
    return dict(evaluation.eval)


def _as_coco(
    rows: Numbers,
    images: list[int],
    num_classes: int,
    *,
    crowd: Numbers | None = None,
    score: Numbers | None = None,
) -> Any:
    """The rows as the library's index."""
    from faster_coco_eval import COCO

    columns = [
        rows[:, 0].astype(int).tolist(),
        rows[:, 1].astype(int).tolist(),
        np.concatenate([rows[:, 2:4], rows[:, 4:6] - rows[:, 2:4]], axis=1).tolist(),
        (np.zeros(len(rows)) if crowd is None else crowd).astype(int).tolist(),
        (np.zeros(len(rows)) if score is None else score).tolist(),
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": label} for label in range(num_classes)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": crowded,
                "score": sure,
            }
            # From 1: COCO's evaluation reads 0 as "matched with nothing".
            for number, (image, label, box, crowded, sure) in enumerate(
                zip(*columns, strict=True), start=1
            )
        ],
    }
    coco.createIndex()
    return coco


def _mean(scores: Numbers) -> float:
    known = scores[scores > -1]
    return float(known.mean()) if known.size else _NAN


def _voc_precision(detections: Numbers, objects: Numbers) -> float:
    """Average precision at 11 recalls of one class."""
    ignored: NDArray[np.bool_] = objects[:, 6:].max(axis=1) > 0
    positives = int((~ignored).sum())
    if not positives:
        return _NAN
    detections = detections[np.argsort(-detections[:, 6], kind="stable")]
    best = _best_objects(detections, objects)
    hit = best >= 0
    hit[hit] = ~ignored[best[hit]]
    skipped = (best >= 0) & ~hit
    right = np.zeros(len(best), dtype=bool)
    # Of the detections that mean one object only the first, the likeliest, has found it.
    first = np.unique(np.where(hit, best, -1), return_index=True)[1]
    right[first] = hit[first]
    found = np.cumsum(right[~skipped])
    recall, precision = found / positives, found / np.arange(1, len(found) + 1)
    tops = [precision[recall >= at].max(initial=0.0) for at in np.arange(0.0, 1.1, 0.1)]
    return math.fsum(tops) / len(tops)


def _best_objects(detections: Numbers, objects: Numbers) -> NDArray[np.int64]:
    """(n,) row of the object that each detection overlaps most; -1 where by half or less."""
    best = np.full(len(detections), -1)
    for image in np.intersect1d(detections[:, 0], objects[:, 0]):
        mine, theirs = (np.flatnonzero(rows[:, 0] == image) for rows in (detections, objects))
        overlaps = _ious(detections[mine, 2:6], objects[theirs, 2:6])
        of = overlaps.argmax(axis=1)
        enough = overlaps[np.arange(len(mine)), of] > _VOC_IOU
        best[mine[enough]] = theirs[of[enough]]
    return best


def _ious(boxes: Numbers, others: Numbers) -> Numbers:
    """(n, 4) and (m, 4) -> (n, m)."""
    from faster_coco_eval import mask

    def sized(edges: Numbers) -> Numbers:
        return np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1)

    overlaps: Numbers = mask.iou(sized(boxes), sized(others), [0] * len(others))
    return overlaps
