"""One sample, and a batch of them.

Shapes: b images, c channels, h w height and width in px after padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = 255
"""In a mask: the pixel is of no class, and counts in no loss and no metric."""


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


class SampleKeys(Sequence[SampleKey]):
    """The keys of some samples, as one array.

    Attributes:
        rows: (b, 3) int64: epoch, index and repeat of each sample.
        seed: of the run in training; 0 in evaluation, which is the same for every run.
    """

    __slots__ = ("rows", "seed")

    def __init__(self, rows: NDArray[np.int64], seed: int = 0) -> None:
        self.rows = rows
        self.seed = seed

    @classmethod
    def of(cls, keys: Iterable[SampleKey]) -> SampleKeys:
        """Keys that were made one by one; keys that are an array already stay as they are."""
        if isinstance(keys, SampleKeys):
            return keys
        return cls(np.array([tuple(key) for key in keys], dtype=np.int64).reshape(-1, 3))

    @property
    def indices(self) -> NDArray[np.int64]:
        """(b,) of each image in its split."""
        indices: NDArray[np.int64] = self.rows[:, 1]
        return indices

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, item: int) -> SampleKey: ...

    @overload
    def __getitem__(self, item: slice) -> SampleKeys: ...

    def __getitem__(self, item: int | slice) -> SampleKey | SampleKeys:
        if isinstance(item, slice):
            return SampleKeys(self.rows[item], self.seed)
        return SampleKey(*self.rows[item].tolist())

    def __iter__(self) -> Iterator[SampleKey]:
        return (SampleKey(*row) for row in self.rows.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"SampleKeys({list(self)})"


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known about it.

    Attributes:
        image: (c, h, w); uint8 where the file has 8 bits, uint16 or float32 where it has more.
        targets: by name, as the task wants them; ``{"labels": int}`` for classification,
            ``{"masks": (h, w) uint8}`` of class numbers and ``IGNORED`` for segmentation;
            ``{"boxes": (m, 4) float32, "labels": (m,) int64}`` for detection, x1 y1 x2 y2 in px.
    """

    image: Tensor
    targets: Mapping[str, Tensor | float]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with their targets.

    Attributes:
        images: (b, c, h, w), each image in the top left corner of the padding.
        sizes: (b, 2) int64, each image's own height and width in px; on the host, which decides
            shapes by them.
        ids: (b,) int64, the index of each image in its split.
        targets: by name; ``{"labels": (b,) int64}`` for classification, ``{"masks": (b, h, w)
            int64}`` for segmentation, ``{"boxes": (b, m, 4) float32, "labels": (b, m) int64}`` for
            detection, padded with zeros and -1.
        keys: of each image, for whatever is random about it; on the host.
    """

    images: Tensor
    sizes: Tensor
    ids: Tensor
    targets: Mapping[str, Tensor]
    keys: SampleKeys = field(default_factory=lambda: SampleKeys.of(()))

    def __len__(self) -> int:
        return self.images.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; what is pinned goes to CUDA without waiting."""
        if self.images.device == device:
            return self
        # Nowhere else: the host would read, or MPS be given, what is not there yet or no more.
        later = device.type == "cuda"
        return replace(
            self,
            images=self.images.to(device, non_blocking=later),
            ids=self.ids.to(device, non_blocking=later),
            targets={k: v.to(device, non_blocking=later) for k, v in self.targets.items()},
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (the name that torch's DataLoader looks for)."""
        return replace(
            self,
            images=self.images.pin_memory(),
            ids=self.ids.pin_memory(),
            targets={k: v.pin_memory() for k, v in self.targets.items()},
        )

    def with_images(self, images: Tensor) -> Batch:
        """The same batch with other images."""
        return Batch(images, self.sizes, self.ids, self.targets, self.keys)

    def rows(self, start: int, stop: int) -> Batch:
        """Images ``start`` to ``stop`` as a batch: a micro-batch, or one rank's share."""
        if stop - start >= len(self):
            return self
        part = slice(start, stop)
        return Batch(
            images=self.images[part],
            sizes=self.sizes[part],
            ids=self.ids[part],
            targets={k: v[part] for k, v in self.targets.items()},
            keys=self.keys[part],
        )
