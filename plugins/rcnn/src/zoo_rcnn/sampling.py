"""Which candidates of an image a detector learns from in this step.

There are thousands, nearly all of them background; a quota for each image, with a share for the
foreground, keeps the few objects from drowning (Girshick 2015, section 2.3; Ren 2015, section
3.1.3).  The choice is random, and a function of the run's seed and the sample's key alone: it is
the same after a resume, on any number of devices, in any batch.

Shapes: a candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ConfigError
from zoo.randomness import integers
from zoo.structures import SampleKey
from zoo_rcnn.targets import BACKGROUND


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many candidates of an image, and of what kind.

    Attributes:
        quota: of each image; there may be fewer.
        foreground: largest share of the quota for candidates that stand for an object; what
            they leave free goes to the background.
        stream: what the random numbers are for; streams are independent of one another.

    Raises:
        ConfigError: a quota below 1, or a share outside 0 to 1.
    """

    quota: int
    foreground: float
    stream: str

    def __post_init__(self) -> None:
        if self.quota < 1:
            raise ConfigError(f"{self.quota} {self.stream} of an image are none to learn from")
        if not 0 <= self.foreground <= 1:
            raise ConfigError(
                f"a share of {self.foreground} for the foreground is not between 0 and 1"
            )

    def __call__(self, labels: Tensor, key: SampleKey, *, seed: int) -> Tensor:
        """Draw from candidates with these labels (a,): > 0 foreground, 0 background, -1 never.

        Args:
            labels: of the candidates of one image.
            key: of the image.
            seed: of the run.

        Returns:
            Indices of the chosen, in ascending order.
        """
        numbers = integers(seed, self.stream, [key], len(labels), device=labels.device)[0]
        foreground = torch.where(labels > BACKGROUND)[0]
        background = torch.where(labels == BACKGROUND)[0]
        num_foreground = min(len(foreground), int(self.quota * self.foreground))
        num_background = min(len(background), self.quota - num_foreground)
        chosen = [
            _smallest(foreground, numbers, num_foreground),
            _smallest(background, numbers, num_background),
        ]
        return torch.cat(chosen).sort().values


def _smallest(candidates: Tensor, numbers: Tensor, count: int) -> Tensor:
    """The ``count`` candidates with the smallest numbers."""
    return candidates[numbers[candidates].topk(count, largest=False).indices]
