"""Yield verified, seeded, resumable batches from files as people have them."""

from zoo.data._dataset import Dataset, ResidentDataset, Splits
from zoo.data._transforms import BatchTransform, SampleTransform, Transforms

__all__ = [
    "BatchTransform",
    "Dataset",
    "ResidentDataset",
    "SampleTransform",
    "Splits",
    "Transforms",
]
