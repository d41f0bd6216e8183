"""One split of a data set, as the loader and the checks see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from zoo.errors import DataError
from zoo.structures import Sample


@runtime_checkable
class Dataset(Protocol):
    """Images and targets by index; reading never changes a file."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that users gave, in the order of the labels."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Sample:
        """Decode one sample.

        Raises:
            DataError: naming the file and what is wrong with it.
        """
        ...

    def describe(self, index: int) -> str:
        """Where the sample comes from, for messages: its path, or "digits[3]"."""
        ...

    def fingerprint(self) -> str:
        """A hash of what the split holds (names, sizes, labels), equal on every machine."""
        ...


@runtime_checkable
class ResidentDataset(Dataset, Protocol):
    """A split that is wholly in memory, so that a batch is one indexing and needs no workers."""

    @property
    def images(self) -> Tensor:
        """All images, (n, c, h, w) uint8."""
        ...

    @property
    def targets(self) -> Mapping[str, Tensor]:
        """By name, each (n, ...)."""
        ...


def check_one_dtype(dataset: Dataset, images: Mapping[int, Tensor]) -> None:
    """Refuse to put images of 8 bits into one tensor with others of 16, or with floats.

    Args:
        dataset: that gave them, to name them.
        images: by their index.

    Raises:
        DataError: naming two that differ.
    """
    (first, image), *others = images.items()
    for index, other in others:
        if other.dtype != image.dtype:
            raise DataError(
                f"{dataset.describe(index)} is {_word(other)}, but {dataset.describe(first)} is"
                f" {_word(image)}",
                "All images of a data set are to have one dtype.",
            )


def _word(image: Tensor) -> str:
    return str(image.dtype).removeprefix("torch.")


Splits = Mapping[str, Dataset]
"""Splits by name: "train", "val", "test"."""
