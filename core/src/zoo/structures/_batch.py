"""One sample, and a batch of them.

Shapes: b images, c channels, h w height and width in px after padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor


class SampleKey(NamedTuple):
    """Which sample of the run this is; everything random about it is a function of this key.

    Attributes:
        epoch: counted from 0.
        index: of the image in its split.
        repeat: which copy, under repeated augmentation; otherwise 0.
    """

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody looks up in a key
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known about it.

    Attributes:
        image: (c, h, w); uint8 where the file has 8 bits, uint16 or float32 where it has more.
        targets: by name, as the task wants them; ``{"labels": int}`` for classification.
    """

    image: Tensor
    targets: Mapping[str, Tensor | int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with their targets.

    Attributes:
        images: (b, c, h, w), each image in the top left corner of the padding.
        sizes: (b, 2) int64, each image's own height and width in px.
        ids: (b,) int64, the index of each image in its split.
        targets: by name; ``{"labels": (b,) int64}`` for classification.
        keys: of each image, for whatever is random about it; on the host.
    """

    images: Tensor
    sizes: Tensor
    ids: Tensor
    targets: Mapping[str, Tensor]
    keys: tuple[SampleKey, ...] = ()

    def __len__(self) -> int:
        return self.images.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; pinned memory is copied without waiting."""
        if self.images.device == device:
            return self
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            sizes=self.sizes.to(device, non_blocking=True),
            ids=self.ids.to(device, non_blocking=True),
            targets={k: v.to(device, non_blocking=True) for k, v in self.targets.items()},
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (the name that torch's DataLoader looks for)."""
        return replace(
            self,
            images=self.images.pin_memory(),
            sizes=self.sizes.pin_memory(),
            ids=self.ids.pin_memory(),
            targets={k: v.pin_memory() for k, v in self.targets.items()},
        )

    def rows(self, start: int, stop: int) -> Batch:
        """Images ``start`` to ``stop`` as a batch: a micro-batch, or one rank's share."""
        part = slice(start, stop)
        return Batch(
            images=self.images[part],
            sizes=self.sizes[part],
            ids=self.ids[part],
            targets={k: v[part] for k, v in self.targets.items()},
            keys=self.keys[part],
        )
