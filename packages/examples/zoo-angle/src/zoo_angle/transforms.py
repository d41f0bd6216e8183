"""What happens to images and their angles on the way to the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from zoo import InputSpec
from zoo.data.transforms import Transforms, image_transforms
from zoo.randomness import uniform
from zoo.structures import Batch


def angle_transforms(*, train: bool, spec: InputSpec, seed: int, mirror: float = 0.0) -> Transforms:
    """Both stages: resize and crop each image; then, for the whole batch, normalise and mirror.

    Args:
        train: mirror; an evaluation does the rest alone.
        spec: what the model's images are.
        seed: of the run.
        mirror: probability of mirroring an image.
    """
    plain = image_transforms(train=False, spec=spec, seed=seed, num_classes=0)
    if not train:
        return plain
    chance = Mirror(seed, mirror)
    return replace(plain, batch=lambda batch: chance(plain.batch(batch)))


@dataclass(frozen=True)
class Mirror:
    """Mirrors some images left to right, and their angles with them.

    Which ones depends on the sample's key alone: the same in whatever batch the image is, and
    again after a resume.
    """

    seed: int
    probability: float

    def __call__(self, batch: Batch) -> Batch:
        """The batch with some of its images (b, c, h, w) and ``angles_deg`` (b,) mirrored."""
        draws = uniform(self.seed, "mirror", batch.keys)[:, 0]
        chosen = torch.from_numpy(draws < self.probability).to(batch.images.device)
        images, angles = batch.images, batch.targets["angles_deg"]
        return replace(
            batch,
            images=torch.where(chosen[:, None, None, None], images.flip(-1), images),
            targets={"angles_deg": torch.where(chosen, -angles % 360, angles)},
        )
