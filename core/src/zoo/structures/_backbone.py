"""A network without its head, as the source of feature maps for detectors and U-Nets."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Stage:
    """One level of feature maps, known when the backbone is built.

    Attributes:
        name: of the stage in the model ("layer1").
        channels: of its map.
        stride: px of the image for one px of the map.
        context_px: how far beyond its own ``stride`` px the image can change a px of the map;
            None where that is not known, or everywhere.
    """

    name: str
    channels: int
    stride: int
    context_px: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A module that maps images to stage maps, and the facts about them.

    Attributes:
        module: ``module(images)`` returns ``dict[str, Tensor]``, one (n, channels, h/stride,
            w/stride) map for each of ``stages``, in their order; no classifier head is left in it.
        stages: any number, from the finest to the coarsest.
    """

    module: nn.Module
    stages: tuple[Stage, ...]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = self.module(images)
        return maps
