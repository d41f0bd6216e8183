"""A detector that keeps the contract, and detectors that break one promise each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from zoo.randomness import uniform
from zoo.structures import Detections, DetectorOutput, LossSum, SampleKeys

STRIDE_PX, LIMIT = 8, 20


class Honest(nn.Module):
    """Every cell of one map says what its centre lies on, and how far away the four sides are."""

    head_parts: ClassVar[tuple[str, ...]] = ("classes",)

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, stride=4, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.classes = nn.Conv2d(16, num_classes, 1)
        self.sides = nn.Conv2d(16, 4, 1)

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Mapping[str, Tensor] | None = None,
        *,
        keys: SampleKeys | None = None,
        detect: bool = True,
    ) -> DetectorOutput:
        logits, boxes = self.judge(images)
        losses = {}
        if targets is not None and "boxes" in targets:
            losses = self.losses(logits, boxes, targets, keys)
        return DetectorOutput(losses, self.find(logits, boxes, sizes) if detect else [])

    def typical_pass(self, images: Tensor) -> None:
        maps = self.body(images)
        self.classes(maps), self.sides(maps)

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, cells, k) and boxes (b, cells, 4)."""
        maps = self.body(images)
        logits = self.classes(maps).flatten(2).transpose(1, 2).float()
        sides = 2 * STRIDE_PX * self.sides(maps).flatten(2).transpose(1, 2).float().exp()
        centres = _centres(*maps.shape[2:])
        return logits, torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=2)

    def losses(
        self, logits: Tensor, boxes: Tensor, targets: Mapping[str, Tensor], keys: SampleKeys | None
    ) -> dict[str, LossSum]:
        """A random weight for each cell, as others choose some of theirs."""
        count, cells = logits.shape[:2]
        weights = torch.from_numpy(uniform(keys.seed, "cells", keys, cells)).float()[..., None]
        centres = (boxes[..., :2] + boxes[..., 2:]).detach()[..., None, :] / 2
        real = targets["labels"] >= 0
        near = (centres >= targets["boxes"][:, None, :, :2]).all(dim=3)
        inside = near & (centres <= targets["boxes"][:, None, :, 2:]).all(dim=3) & real[:, None]
        image, cell, thing = torch.where(inside)
        wanted = torch.zeros_like(logits)
        wanted[image, cell, targets["labels"][image, thing]] = 1
        classes = binary_cross_entropy_with_logits(logits, wanted, weights, reduction="sum")
        sides = self.side_loss(boxes[image, cell], targets["boxes"][image, thing])
        return {
            "classes": LossSum(classes / cells, self.counted(count)),
            "sides": LossSum(sides / (cells * STRIDE_PX), self.counted(count)),
        }

    def side_loss(self, found: Tensor, wanted: Tensor) -> Tensor:
        return l1_loss(found, wanted, reduction="sum")

    def counted(self, images: int) -> int:
        return images

    def find(self, logits: Tensor, boxes: Tensor, sizes: Tensor) -> list[Detections]:
        """The best of each image."""
        found = []
        for logit, box, size in zip(logits.sigmoid(), boxes, sizes.tolist(), strict=True):
            scores, index = logit.flatten().topk(LIMIT)
            cells, labels = index // logit.shape[1], index % logit.shape[1]
            found.append(Detections(self.clip(box[cells], *size), scores, labels))
        return found

    def clip(self, boxes: Tensor, height: int, width: int) -> Tensor:
        return boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2))


def _centres(rows: int, columns: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5) * STRIDE_PX


def honest(*, num_classes: int, in_channels: int = 3) -> Honest:
    """The detector that keeps the contract."""
    return Honest(num_classes, in_channels)


class LearningInTraining(Honest):
    """Has no loss in evaluation."""

    def losses(self, *args: Tensor) -> dict[str, LossSum]:
        return super().losses(*args) if self.training else {}


def learns_in_training_alone(*, num_classes: int, in_channels: int = 3) -> Honest:
    """There is no validation loss."""
    return LearningInTraining(num_classes, in_channels)


class Averaging(Honest):
    """Counts batches in place of images."""

    def counted(self, images: int) -> int:
        return 1


def counts_batches(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Its losses are divided by 1."""
    return Averaging(num_classes, in_channels)


class Needing(Honest):
    """Has no loss of boxes where there are none."""

    def side_loss(self, found: Tensor, wanted: Tensor) -> Tensor:
        return super().side_loss(found, wanted) if len(wanted) else torch.zeros(())


def needs_objects(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Images without objects leave parameters without a gradient."""
    return Needing(num_classes, in_channels)


class Dividing(Honest):
    """Takes the mean over the objects."""

    def side_loss(self, found: Tensor, wanted: Tensor) -> Tensor:
        return l1_loss(found, wanted)


def divides_by_objects(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Without objects its loss is NaN."""
    return Dividing(num_classes, in_channels)


class Eager(Honest):
    """Does not read ``detect``."""

    def forward(self, *args: Any, **kwargs: Any) -> DetectorOutput:
        return super().forward(*args, **{**kwargs, "detect": True})


def always_detects(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Gives detections that nobody asked for."""
    return Eager(num_classes, in_channels)


class Overlooking(Honest):
    """Does not clip boxes to the image."""

    def clip(self, boxes: Tensor, height: int, width: int) -> Tensor:
        return boxes.clamp(min=0, max=96)


def clips_to_the_padding(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Boxes of a small image reach into what pads it."""
    return Overlooking(num_classes, in_channels)


class Swapping(Honest):
    """Gives the lower right corner first."""

    def clip(self, boxes: Tensor, height: int, width: int) -> Tensor:
        return super().clip(boxes, height, width).flip(1)


def swaps_corners(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Boxes begin where they end."""
    return Swapping(num_classes, in_channels)


class Changed(Honest):
    """Changes what it found."""

    def find(self, *args: Tensor) -> list[Detections]:
        return [self.change(of) for of in super().find(*args)]

    def change(self, of: Detections) -> Detections:
        raise NotImplementedError


class Ascending(Changed):
    """The best last."""

    def change(self, of: Detections) -> Detections:
        return Detections(of.boxes.flip(0), of.scores.flip(0), of.labels.flip(0))


def sorts_upwards(*, num_classes: int, in_channels: int = 3) -> Honest:
    """The best detection comes last."""
    return Ascending(num_classes, in_channels)


class InPercent(Changed):
    """Scores up to 100."""

    def change(self, of: Detections) -> Detections:
        return Detections(of.boxes, 100 * of.scores, of.labels)


def scores_in_percent(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Its scores go to 100."""
    return InPercent(num_classes, in_channels)


class Shifted(Changed):
    """The background is class 0."""

    def change(self, of: Detections) -> Detections:
        return Detections(of.boxes, of.scores, of.labels + 1)


def counts_the_background(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Its labels begin at 1."""
    return Shifted(num_classes, in_channels)


class Caching(Honest):
    """Keeps the size of the first image that it sees."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.size: tuple[int, int] | None = None

    def clip(self, boxes: Tensor, height: int, width: int) -> Tensor:
        self.size = self.size or (height, width)
        return super().clip(boxes, *self.size)


def remembers_the_first_size(*, num_classes: int, in_channels: int = 3) -> Honest:
    """An image's boxes depend on the images before it."""
    return Caching(num_classes, in_channels)


class Drawing(Honest):
    """Asks torch's generator where the keys say enough."""

    def losses(self, *args: Tensor) -> dict[str, LossSum]:
        losses = super().losses(*args)
        noise = 1e-6 * torch.rand(()) if self.training else 0
        return {n: LossSum(loss.total + noise, loss.count) for n, loss in losses.items()}


def draws_beside_the_keys(*, num_classes: int, in_channels: int = 3) -> Honest:
    """What it learns from depends on what was drawn before."""
    return Drawing(num_classes, in_channels)


class Viewing(Honest):
    """Reads the memory of a map as if its channels lay one after the other."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        flat = torch.as_strided(images, images.shape, torch.empty(images.shape).stride())
        return super().judge(flat)


def views_memory(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Sees another image where the channels lie last."""
    return Viewing(num_classes, in_channels)


class Coarse(Honest):
    """Its boxes have the precision of its features."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, boxes = super().judge(images)
        return logits, boxes.bfloat16() if torch.is_autocast_enabled("cpu") else boxes


def rounds_boxes(*, num_classes: int, in_channels: int = 3) -> Honest:
    """In bfloat16 boxes are off by px."""
    return Coarse(num_classes, in_channels)
