"""From sample keys to a batch: load, transform, stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from zoo.data.datasets import Dataset, ResidentDataset, check_one_dtype
from zoo.data.loading._cache import CachedDataset
from zoo.data.transforms import DrawingTransform, SampleTransform
from zoo.devices import send
from zoo.errors import DataError, ZooError
from zoo.structures import Batch, Sample, SampleKey, SampleKeys
from zoo.wording import counted


class Reader(Protocol):
    """Makes a batch of some keys; the same one in any process.

    Attributes:
        in_memory: whether nothing is decoded.
    """

    in_memory: bool

    def read(self, keys: Sequence[SampleKey]) -> Batch: ...


class SampleReader:
    """Reads samples one by one.

    Args:
        dataset: where they come from.
        transform: for each sample; its results have one size, unless ``fill`` is given.
        fill: values that pad targets where sizes differ, as ``Transforms.fill``.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: SampleTransform | None,
        fill: Mapping[str, int] | None = None,
    ) -> None:
        self._dataset = dataset
        self.in_memory = isinstance(dataset, CachedDataset | ResidentDataset)
        if isinstance(transform, DrawingTransform):
            transform = transform.drawing_from(dataset)
        self._transform = transform
        self._fill = fill

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

    def describe(self, index: int) -> str:
        """Where a sample comes from."""
        return self._dataset.describe(index)

    def stack(self, samples: Sequence[Sample], keys: Sequence[SampleKey]) -> Batch:
        """A batch of samples, of one size or padded to the greatest height and width."""
        if self._fill is None:
            self._check_one_size(samples, keys)
        given = {key.index: sample.image for key, sample in zip(keys, samples, strict=True)}
        check_one_dtype(self._dataset, given)
        images = _stack_images([sample.image for sample in samples])
        targets = {
            name: _stack(
                [torch.as_tensor(sample.targets[name]) for sample in samples],
                (self._fill or {}).get(name),
            )
            for name in samples[0].targets
        }
        sizes = [sample.image.shape[-2:] for sample in samples]
        return assemble(images, targets, keys, sizes=None if len({*sizes}) == 1 else sizes)

    def _check_one_size(self, samples: Sequence[Sample], keys: Sequence[SampleKey]) -> None:
        first = samples[0].image
        for sample, key in zip(samples, keys, strict=True):
            if sample.image.shape != first.shape:
                raise DataError(
                    f"{self._dataset.describe(key.index)} is {_size(sample.image)}, but"
                    f" {self._dataset.describe(keys[0].index)} is {_size(first)}",
                    "Images of several sizes need a crop: leave transforms.crop at its default.",
                )


class ResidentReader:
    """Takes a whole batch out of tensors at once.

    Args:
        dataset: in memory.
        device: to keep its images and targets on, and give batches on; default: where they are.
    """

    in_memory = True

    def __init__(self, dataset: ResidentDataset, *, device: torch.device | None = None) -> None:
        self._images = dataset.images.to(device)
        self._targets = {name: target.to(device) for name, target in dataset.targets.items()}

    def read(self, keys: Sequence[SampleKey]) -> Batch:
        """The batch of these keys."""
        indices = np.ascontiguousarray(SampleKeys.of(keys).indices)
        ids = send(torch.from_numpy(indices), self._images.device)
        targets = {name: target.index_select(0, ids) for name, target in self._targets.items()}
        # Copies whole images; indexing by a tensor goes pixel by pixel, 15 times as slowly.
        return assemble(self._images.index_select(0, ids), targets, keys, ids=ids)


def assemble(
    images: Tensor,
    targets: dict[str, Tensor],
    keys: Sequence[SampleKey],
    *,
    ids: Tensor | None = None,
    sizes: Sequence[Sequence[int]] | None = None,
) -> Batch:
    """A batch of images; ``sizes`` are their own heights and widths where they differ."""
    columns = SampleKeys.of(keys)
    # Close together: what is not cannot be copied to a device while it computes.
    ids = torch.from_numpy(np.ascontiguousarray(columns.indices)) if ids is None else ids
    rows = (
        _size_row(images.shape[-2], images.shape[-1]).expand(len(keys), 2)
        if sizes is None
        else torch.tensor([tuple(size) for size in sizes])
    )
    return Batch(images=images, sizes=rows, ids=ids, targets=targets, keys=columns)


def _stack_images(images: Sequence[Tensor]) -> Tensor:
    """(b, c, h, w) of images, padded with zeros; channels last where theirs are: copies of rows."""
    if images[0].stride(0) != 1:
        return _stack(images, 0)
    return _stack([image.permute(1, 2, 0) for image in images], 0).permute(0, 3, 1, 2)


def _stack(tensors: Sequence[Tensor], fill: int | None) -> Tensor:
    """Tensors of one shape as one; with ``fill``, they are padded at their ends to one shape."""
    if fill is None or len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    shape = [max(lengths) for lengths in zip(*(tensor.shape for tensor in tensors), strict=True)]
    stack = tensors[0].new_full((len(tensors), *shape), fill)
    for row, tensor in zip(stack, tensors, strict=True):
        row[tuple(slice(length) for length in tensor.shape)] = tensor
    return stack


@lru_cache(maxsize=16)
def _size_row(height: int, width: int) -> Tensor:
    """(2,), made once: making it costs as much as reading a small batch."""
    return torch.tensor([height, width])


def _size(image: Tensor) -> str:
    channels, height, width = image.shape
    return f"{width}x{height} px with {counted(channels, 'channel')}"
