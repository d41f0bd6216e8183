"""Detection: where on the image objects of the named classes are, as boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from zoo.data.transforms import box_transforms, to_own_pixels
from zoo.errors import ConfigError, DataError, PluginCodeError, UsageError
from zoo.metrics import BoxPrecision, Metric, VOCPrecision
from zoo.structures import EVERY_LOSS, Batch, DetectorOutput, LossSum, Step
from zoo.tasks._answers import checked_output
from zoo.tasks._drawing import boxes_on, shortened
from zoo.tasks._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image
    from torch import Tensor, nn

    from zoo.cards import InputSpec
    from zoo.data.datasets import Dataset
    from zoo.data.transforms import Transforms
    from zoo.structures import Detections

PROPOSALS = ("proposals", "proposal_counts")
"""Targets that are nothing to be learned: a detector reads them where it only answers, too."""
STRIDE_PX = 32
"""Images are padded to its multiples, so that maps of all strides up to it fit into one another."""


class DetectionTask(Task):
    """A box and a class for each object.

    The model is called as ``detector(images, sizes, targets, keys=..., detect=...)`` and returns a
    ``zoo.structures.DetectorOutput``; ``targets`` are those of the batch, or None.  The arguments,
    not the model's mode, say what is computed, so that an evaluation has losses too; a model that
    cannot give them there says none.

    A batch has ``boxes`` (b, m, 4) x1 y1 x2 y2 in px of its images, 0 where padded, and ``labels``
    (b, m) from 0, -1 where padded; it may have ``crowd`` and ``difficult`` (b, m), and
    ``proposals`` (b, p, 4), 0 where padded, with ``proposal_counts`` (b,).  Images without objects
    are good examples.

    Args:
        classes: names, in the order of the labels; the background is none of them.
        least_score: what predictions show must score so much; evaluations count everything.

    Raises:
        ConfigError: a score that is not between 0 and 1.
    """

    name = "detection"
    headline = "val/ap"
    beside_headline = ("ap50",)
    targets = ("boxes", "labels")
    least_images = 1

    def __init__(self, *, classes: Sequence[str], least_score: float = 0.5) -> None:
        if not 0 <= least_score <= 1:
            raise ConfigError(f"task.least_score must be from 0 to 1, not {least_score}")
        self.classes = tuple(classes)
        self.least_score = least_score

    def step(self, model: nn.Module, batch: Batch) -> Step:
        """One forward pass: the detector's losses, and ``Detections`` in px of the batch's images.

        While the model learns nobody reads detections, and none are made.
        """
        learning = model.training and torch.is_grad_enabled()
        outputs = _outputs(model, batch, batch.targets, detect=not learning)
        return Step(_sum_losses(outputs), [of for output in outputs for of in output.detections])

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        """The number of images, whatever losses a detector has."""
        return {EVERY_LOSS: float(len(batch))}

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """For each image "objects", the likeliest first: "label", "index", "score" and "box_px".

        "box_px" is x1 y1 x2 y2 in px of the image itself, whatever size the model saw.
        """
        given = {name: batch.targets[name] for name in PROPOSALS if name in batch.targets}
        outputs = _outputs(model, batch, given or None, detect=True)
        found = [of for output in outputs for of in output.detections]
        own_sizes = batch.targets.get("own_sizes", batch.sizes)
        return [
            self._answer(of, to_own_pixels(of.boxes, size, own_size))
            for of, size, own_size in zip(found, batch.sizes, own_sizes, strict=True)
        ]

    def deployed(self, model: nn.Module, images: Tensor) -> Tensor:
        """Nothing: how many boxes there are depends on the image.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "a detector cannot be exported: how many boxes it finds depends on the image, and a"
            " graph of tensors has no such number",
            "Deploy it with zoo: zoo.load_run(RUN) answers in any Python program.",
        )

    def propose(self, model: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """For each image boxes (p, 4) in px of the image itself and scores (p,), the best first.

        Args:
            model: with ``propose(images, sizes)``, which gives both for each image of a batch.
        """
        own_sizes = batch.targets.get("own_sizes", batch.sizes)
        ask: Any = model.propose
        found = []
        for row, own_size in enumerate(own_sizes):
            single = _cut(batch.rows(row, row + 1))
            [boxes], [scores] = ask(_padded(single.images), single.sizes)
            found.append((to_own_pixels(boxes, batch.sizes[row], own_size), scores))
        return found

    @classmethod
    def transforms_schema(cls) -> Callable[..., Transforms]:
        """``zoo.data.transforms.box_transforms``."""
        return box_transforms

    def transforms(self, split: str, spec: InputSpec, *, seed: int, **options: Any) -> Transforms:
        """``zoo.data.transforms.box_transforms``, whose keywords are the options."""
        return box_transforms(
            train=split == "train",
            spec=spec,
            seed=seed,
            **options,
        )

    def options(self) -> dict[str, Any]:
        """The options of this task."""
        return {"least_score": self.least_score}

    def metrics(self, split: str) -> Mapping[str, Metric]:
        """Average precision as COCO and as Pascal VOC have it; none for "train"."""
        if split == "train":
            return {}
        return {
            "box-precision": BoxPrecision(classes=self.classes),
            "voc-precision": VOCPrecision(classes=self.classes),
        }

    def draw(self, image: Image.Image, prediction: Mapping[str, Any]) -> Image.Image:
        """The image with a box around each object, its name and its score."""
        found = prediction["objects"]
        return boxes_on(
            image,
            [of["box_px"] for of in found],
            [f"{shortened(of['label'])} {of['score']:.2f}" for of in found],
            # The first colour is black, for backgrounds.
            colours=[of["index"] + 1 for of in found],
        )

    def describe(self, prediction: Mapping[str, Any]) -> str:
        """The classes that were found, each with the scores of its objects."""
        scores: dict[str, list[str]] = {}
        for of in prediction["objects"]:
            scores.setdefault(of["label"], []).append(f"{of['score']:.2f}")
        if not scores:
            return f"nothing with a score of {self.least_score:g} or more"
        return "  ".join(f"{label} {' '.join(each)}" for label, each in scores.items())

    def check_data(self, splits: Mapping[str, Dataset]) -> Sequence[str]:
        """See that there are classes.

        Raises:
            DataError: there is none.
        """
        if not self.classes:
            raise DataError(
                "the data name no class of objects",
                "Detection learns from boxes with class names; see docs/detection.md.",
            )
        return ()

    def _answer(self, found: Detections, boxes: Tensor) -> dict[str, Any]:
        strange = [label for label in found.labels.tolist() if not 0 <= label < len(self.classes)]
        if strange:
            raise PluginCodeError(
                f"the model found an object of class {strange[0]}, and there are 0 to"
                f" {len(self.classes) - 1}",
                "The background is no class; labels begin at 0 for the first that users name.",
            )
        objects = [
            {"label": self.classes[label], "index": label, "score": score, "box_px": box}
            for label, score, box in zip(
                found.labels.tolist(), found.scores.tolist(), boxes.tolist(), strict=True
            )
            if score >= self.least_score
        ]
        return {"objects": objects}


def _outputs(
    model: nn.Module, batch: Batch, targets: Mapping[str, Tensor] | None, *, detect: bool
) -> list[DetectorOutput]:
    """What the detector says: of the whole batch in training, else of each image by itself.

    Convolutions see the padding next to an image, and it would depend on the images beside it: only
    an image by itself is answered alike in every batch.
    """
    batch = replace(batch, targets=targets or {})
    if model.training:
        parts = [batch]
    else:
        parts = [_cut(batch.rows(row, row + 1)) for row in range(len(batch))]
    outputs = []
    for part in parts:
        answer = model(
            _padded(part.images),
            part.sizes,
            None if targets is None else part.targets,
            keys=part.keys,
            detect=detect,
        )
        outputs.append(checked_output(answer, len(part), detect=detect))
    return outputs


def _cut(single: Batch) -> Batch:
    """A batch of one image without what pads it."""
    height, width = single.sizes[0].tolist()
    return single.with_images(single.images[..., :height, :width])


def _padded(images: Tensor) -> Tensor:
    """Zeros below and to the right, to multiples of the stride."""
    height, width = images.shape[-2:]
    padding = (0, -width % STRIDE_PX, 0, -height % STRIDE_PX)
    return functional.pad(images, padding) if any(padding) else images


def _sum_losses(outputs: Sequence[DetectorOutput]) -> dict[str, LossSum]:
    """The losses of several passes added up."""
    first = outputs[0].losses
    if len(outputs) == 1:
        return dict(first)
    return {
        name: LossSum(
            torch.stack([of.losses[name].total for of in outputs]).sum(),
            sum(of.losses[name].count for of in outputs),
            loss.weight,
        )
        for name, loss in first.items()
    }
