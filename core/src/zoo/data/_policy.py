"""What an augmentation policy is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from zoo.structures import SampleKey


class Policy(Protocol):
    """An augmentation of one uint8 image, random by its key."""

    def __call__(self, image: Tensor, key: SampleKey, *, seed: int) -> Tensor: ...
