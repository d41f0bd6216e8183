"""From sample keys to a batch: load, transform, stack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from zoo.data._dataset import Dataset, ResidentDataset
from zoo.data._transforms import SampleTransform
from zoo.errors import DataError, ZooError
from zoo.structures import Batch, Sample, SampleKey, SampleKeys


class Reader(Protocol):
    """Makes a batch of some keys; the same one in any process."""

    def read(self, keys: Sequence[SampleKey]) -> Batch: ...


class SampleReader:
    """Reads samples one by one.

    Args:
        dataset: where they come from.
        transform: for each sample; its results have one size.
    """

    def __init__(self, dataset: Dataset, transform: SampleTransform | None) -> None:
        self._dataset = dataset
        self._transform = transform

    def read(self, keys: Sequence[SampleKey]) -> Batch:
        """The batch of these keys.

        Raises:
            DataError: naming the file.
        """
        return self.stack([self.read_one(key) for key in keys], keys)

    def read_one(self, key: SampleKey) -> Sample:
        """One transformed sample; whatever goes wrong names it."""
        try:
            sample = self._dataset.load(key.index)
            return sample if self._transform is None else self._transform(sample, key)
        except ZooError:
            raise
        except Exception as error:
            name = self._dataset.describe(key.index)
            raise DataError(f"{name}: {type(error).__name__}: {error}") from error

    def stack(self, samples: Sequence[Sample], keys: Sequence[SampleKey]) -> Batch:
        """A batch of samples of one size."""
        first = samples[0].image
        for sample, key in zip(samples, keys, strict=True):
            if sample.image.shape != first.shape:
                raise DataError(
                    f"{self._dataset.describe(key.index)} is {_size(sample.image)}, but"
                    f" {self._dataset.describe(keys[0].index)} is {_size(first)}",
                    'Images of several sizes need a crop: set transforms.crop = "photo".',
                )
        images = torch.stack([sample.image for sample in samples])
        targets = {
            name: torch.stack([torch.as_tensor(sample.targets[name]) for sample in samples])
            for name in samples[0].targets
        }
        return assemble(images, targets, keys)


class ResidentReader:
    """Takes a whole batch out of tensors at once."""

    def __init__(self, dataset: ResidentDataset) -> None:
        self._dataset = dataset

    def read(self, keys: Sequence[SampleKey]) -> Batch:
        """The batch of these keys."""
        ids = torch.from_numpy(SampleKeys.of(keys).indices)
        labelled = self._dataset.targets.items()
        targets = {name: target.index_select(0, ids) for name, target in labelled}
        # Copies whole images; indexing by a tensor goes pixel by pixel, 15 times as slowly.
        return assemble(self._dataset.images.index_select(0, ids), targets, keys, ids=ids)


def assemble(
    images: Tensor,
    targets: dict[str, Tensor],
    keys: Sequence[SampleKey],
    *,
    ids: Tensor | None = None,
) -> Batch:
    """A batch of images of one size."""
    columns = SampleKeys.of(keys)
    ids = torch.from_numpy(columns.indices) if ids is None else ids
    sizes = _size_row(images.shape[-2], images.shape[-1]).expand(len(keys), 2)
    return Batch(images=images, sizes=sizes, ids=ids, targets=targets, keys=columns)


@lru_cache(maxsize=16)
def _size_row(height: int, width: int) -> Tensor:
    """(2,), made once: making it costs as much as reading a small batch."""
    return torch.tensor([height, width])


def _size(image: Tensor) -> str:
    channels, height, width = image.shape
    return f"{width}x{height} px with {channels} channels"
