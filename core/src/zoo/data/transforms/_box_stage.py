"""The stages of detection: an image, its boxes and its proposals move together.

Everything random happens to one sample at a time, in a loader process; the batch is normalised,
and its padding is made 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.cards import InputSpec
from zoo.data.transforms._batch_stage import BatchStage, jitter_images
from zoo.data.transforms._sample_stage import cut, resize
from zoo.devices import send
from zoo.randomness import uniform
from zoo.structures import Batch, Sample, SampleKey

BOX_FILL = {"boxes": 0, "labels": -1, "crowd": 0, "difficult": 0, "proposals": 0}
"""What pads the targets of images with fewer objects than others of their batch."""
OF_OBJECTS = ("boxes", "labels", "crowd", "difficult")
"""Targets that have a row for each object."""
PROPOSED = ("proposals",)
"""Targets that have a row for each proposal."""
_TOGETHER = {"boxes": OF_OBJECTS, "proposals": PROPOSED}
"""Targets in px that move with the image, each with those that have a row for each of its boxes."""
_GREATEST_CUT = 0.25
"""Of height and width, from each side, by a crop that keeps boxes."""


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """To which height and width an image is resized, its ratio kept.

    Attributes:
        short_side_px: of the shorter side; None: only the longer side counts.
        long_side_px: that the longer side may have at most.
    """

    short_side_px: int | None
    long_side_px: int

    def factor(self, height: int, width: int) -> float:
        """By which the image is enlarged."""
        factor = self.long_side_px / max(height, width)
        if self.short_side_px is None:
            return factor
        return min(factor, self.short_side_px / min(height, width))


@dataclass(frozen=True, kw_only=True)
class BoxStage:
    """Crop, resize, flip and recolour one image with its boxes.

    The sample gets the target ``own_sizes``, (2,) float32: height and width in the image's own px
    of what is seen of it.  Images without boxes, to be predicted, are resized alike.

    Attributes:
        seed: of the run.
        fitting: the resize; None leaves images as they are.
        scale: least and greatest factor on top of it, drawn log-uniformly.
        crop: probability of a crop that keeps all boxes whole.
        flip: probability of a horizontal flip.
        jitter: of brightness, contrast and saturation.
        least_visible: of its area, that a box must keep where ``scale`` cuts it.
        interpolation: "bilinear" or "bicubic".
    """

    seed: int
    fitting: Fitting | None
    scale: tuple[float, float] = (1.0, 1.0)
    crop: float = 0.0
    flip: float = 0.0
    jitter: float = 0.0
    least_visible: float = 0.3
    interpolation: str = "bilinear"

    @property
    def does_anything(self) -> bool:
        """Whether samples change at all."""
        drawn = self.crop or self.flip or self.jitter or self.scale != (1.0, 1.0)
        return bool(drawn) or self.fitting is not None

    def __call__(self, sample: Sample, key: SampleKey) -> Sample:
        draws = uniform(self.seed, "boxes", [key], 9)[0].tolist()
        if draws[0] < self.crop:
            sample = keep_boxes(sample, draws[1:5])
        height, width = sample.image.shape[-2:]
        base = 1.0 if self.fitting is None else self.fitting.factor(height, width)
        low, high = (math.log(factor) for factor in self.scale)
        more = math.exp(low + draws[5] * (high - low))
        # What enlarging would push over the frame is cut away before anything is computed.
        seen_height, seen_width = (max(1, round(side / max(1.0, more))) for side in (height, width))
        top = int(draws[6] * (height - seen_height + 1))
        left = int(draws[7] * (width - seen_width + 1))
        sample = see(sample, (top, left, seen_height, seen_width), least_visible=self.least_visible)
        size = [
            max(1, min(round(seen * base * more), round(whole * base)))
            for seen, whole in ((seen_height, height), (seen_width, width))
        ]
        sample = resize_sample(sample, size[0], size[1], mode=self.interpolation)
        if draws[8] < self.flip:
            sample = mirror(sample)
        if self.jitter:
            numbers = uniform(self.seed, "jitter", [key], 3)
            image = jitter_images(sample.image[None].float(), numbers, self.jitter)[0]
            sample = replace(sample, image=image.round_().to(sample.image.dtype))
        own = torch.tensor([seen_height, seen_width], dtype=torch.float32)
        return replace(sample, targets={**sample.targets, "own_sizes": own})


class BoxBatchStage:
    """Normalise, and make what pads an image 0."""

    def __init__(self, spec: InputSpec, *, seed: int) -> None:
        self._normalise = BatchStage(spec, seed=seed, resize=False)

    def __call__(self, batch: Batch) -> Batch:
        images = self._normalise(batch).images
        sizes = send(batch.sizes, images.device)
        padded = list(images.shape[-2:])
        if any(size != padded for size in batch.sizes.tolist()):
            rows = torch.arange(images.shape[-2], device=images.device) < sizes[:, :1]
            columns = torch.arange(images.shape[-1], device=images.device) < sizes[:, 1:]
            images = images * (rows[:, None, :, None] & columns[:, None, None, :])
        targets = {"own_sizes": sizes.float(), **batch.targets}
        return replace(batch, images=images, targets=targets)


def keep_boxes(sample: Sample, draws: list[float]) -> Sample:
    """A random part of the image that holds every box whole.

    Args:
        draws: four numbers in [0, 1): how much to cut from the left, top, right and bottom.
    """
    height, width = sample.image.shape[-2:]
    boxes = _boxes(sample)
    if len(boxes):
        x1, y1 = (math.floor(least) for least in boxes[:, :2].amin(0).tolist())
        x2, y2 = (math.ceil(most) for most in boxes[:, 2:].amax(0).tolist())
    else:
        x1 = x2 = width // 2
        y1 = y2 = height // 2
    room = (
        min(x1, width * _GREATEST_CUT),
        min(y1, height * _GREATEST_CUT),
        min(width - x2, width * _GREATEST_CUT),
        min(height - y2, height * _GREATEST_CUT),
    )
    left, top, right, bottom = (
        int(draw * (space + 1)) if space >= 1 else 0
        for draw, space in zip(draws, room, strict=True)
    )
    return see(sample, (top, left, height - top - bottom, width - left - right), least_visible=0.0)


def see(sample: Sample, window: tuple[int, int, int, int], *, least_visible: float) -> Sample:
    """A part of the image, with boxes and proposals clipped to it.

    Those that lose too much are left out.

    Args:
        window: top, left, height and width in px.
        least_visible: fraction of its area that a box must keep.
    """
    top, left, height, width = window
    if (height, width) == tuple(sample.image.shape[-2:]):
        return sample
    targets = dict(sample.targets)
    for name, together in _TOGETHER.items():
        if name not in targets:
            continue
        whole = torch.as_tensor(targets[name]) - torch.tensor([left, top, left, top])
        boxes = clip_boxes(whole, height, width)
        visible, area = _areas(boxes), _areas(whole)
        kept = (visible > 0) & (visible >= least_visible * area)
        targets[name] = boxes
        targets |= {row: torch.as_tensor(targets[row])[kept] for row in together if row in targets}
    if "proposals" in targets:
        targets["proposal_counts"] = len(torch.as_tensor(targets["proposals"]))
    return Sample(cut(sample.image, window).contiguous(), targets)


def resize_sample(sample: Sample, height: int, width: int, *, mode: str) -> Sample:
    """Another size of the image, and boxes that move along."""
    before = sample.image.shape[-2:]
    image = resize(sample.image, height, width, mode)
    across, down = width / before[1], height / before[0]
    return _moved(sample, image, lambda boxes: boxes * torch.tensor([across, down, across, down]))


def mirror(sample: Sample) -> Sample:
    """Left and right exchanged."""
    width = sample.image.shape[-1]

    def move(boxes: Tensor) -> Tensor:
        x1, y1, x2, y2 = boxes.unbind(-1)
        return torch.stack([width - x2, y1, width - x1, y2], -1)

    return _moved(sample, sample.image.flip(-1), move)


def clip_boxes(boxes: Tensor, height: float, width: float) -> Tensor:
    """Boxes (m, 4) without what lies outside of an image."""
    limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    return torch.minimum(boxes.clamp(min=0), limits)


def to_own_pixels(boxes: Tensor, size: Tensor, own_size: Tensor) -> Tensor:
    """Boxes of a batch's image in the px of the image that it was made of.

    Args:
        boxes: (m, 4) x1 y1 x2 y2 in px of the batch's image.
        size: (2,) its height and width, a row of ``Batch.sizes``.
        own_size: (2,) of the image itself, a row of ``batch.targets["own_sizes"]``.
    """
    down, across = (own_size.to(boxes) / size.to(boxes)).unbind()
    return boxes * torch.stack([across, down, across, down])


def _moved(sample: Sample, image: Tensor, move: Callable[[Tensor], Tensor]) -> Sample:
    moved = {
        name: move(torch.as_tensor(sample.targets[name]))
        for name in _TOGETHER
        if name in sample.targets
    }
    return Sample(image, {**sample.targets, **moved})


def _boxes(sample: Sample) -> Tensor:
    return torch.as_tensor(sample.targets.get("boxes", torch.zeros(0, 4)))


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
