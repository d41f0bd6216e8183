"""One angle for each image, in degrees clockwise from the top, as on a clock.

An angle jumps from 360 to 0, and nothing else does: so the model gives the hand of the clock, an
arrow of length 1 that points to the right by sin(angle) and up by cos(angle).

Shapes: b images, c channels, h w height and width in px.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from zoo import InputSpec, Task
from zoo.data.transforms import Transforms
from zoo.structures import Batch, LossSum, Step
from zoo_angle.metrics import AngleError
from zoo_angle.transforms import angle_transforms

_PICTURE_PX = 240


class AngleTask(Task):
    """Regression of an angle; the model maps images (b, c, h, w) to arrows (b, 2).

    The loss is the squared distance from the arrow to that of the truth.

    Args:
        classes: of every task; angles have none.
        tolerance_deg: up to which error an answer counts as near enough.
    """

    name = "angle"
    headline = "val/mean_error_deg"
    targets = ("angles_deg",)

    def __init__(self, *, classes: Sequence[str], tolerance_deg: float = 10.0) -> None:
        self.classes = tuple(classes)
        self.tolerance_deg = tolerance_deg

    @property
    def num_classes(self) -> int:
        """What a model's builder is told: an arrow has two numbers."""
        return 2

    def options(self) -> dict[str, Any]:
        """What builds this task again."""
        return {"tolerance_deg": self.tolerance_deg}

    @classmethod
    def transforms_schema(cls) -> Callable[..., Transforms]:
        """The function whose keywords are the config's section ``[transforms]``."""
        return angle_transforms

    def transforms(self, split: str, spec: InputSpec, *, seed: int, **options: Any) -> Transforms:
        """What happens to images and angles of a split."""
        return angle_transforms(train=split == "train", spec=spec, seed=seed, **options)

    def step(self, model: nn.Module, batch: Batch) -> Step:
        """One forward pass: the loss, and arrows (b, 2) as predictions."""
        arrows = model(batch.images).float()
        radians = torch.deg2rad(batch.targets["angles_deg"])
        truth = torch.stack([radians.sin(), radians.cos()], dim=1)
        loss = LossSum((arrows - truth).square().sum(), float(len(batch)))
        return Step({"arrow": loss}, arrows.detach())

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        """The number of images."""
        return {"arrow": float(len(batch))}

    def metrics(self, split: str) -> Mapping[str, AngleError]:
        """The error, for every split alike."""
        return {"angle-error": AngleError(tolerance_deg=self.tolerance_deg)}

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, float]]:
        """For each image ``angle_deg``, and ``certainty``: the length of the arrow, at most 1."""
        arrows = model(batch.images).float().tolist()
        return [
            {
                "angle_deg": math.degrees(math.atan2(right, up)) % 360,
                "certainty": min(1.0, math.hypot(right, up)),
            }
            for right, up in arrows
        ]

    def describe(self, prediction: Mapping[str, float]) -> str:
        """As ``zoo predict`` prints it."""
        return f"{prediction['angle_deg']:5.1f}°  certainty {prediction['certainty']:.2f}"

    def draw(self, image: Image.Image, prediction: Mapping[str, float]) -> Image.Image:
        """The image, enlarged where it is small, and the arrow from its middle in red."""
        factor = max(1, _PICTURE_PX // max(image.size))
        width, height = image.width * factor, image.height * factor
        picture = image.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        radians, reach = math.radians(prediction["angle_deg"]), 0.45 * min(width, height)
        tip = (width / 2 + reach * math.sin(radians), height / 2 - reach * math.cos(radians))
        pen = ImageDraw.Draw(picture)
        pen.line([(width / 2, height / 2), tip], fill=(255, 0, 0), width=max(2, height // 80))
        pen.text((4, 4), f"{prediction['angle_deg']:.1f}°", fill=(255, 0, 0), font_size=18)
        return picture
