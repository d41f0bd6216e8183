"""Yield the batches of a plan, in order, from any split: seeded, resumable."""

from zoo.data.loading._loader import Loader, usable_cpus
from zoo.data.loading._order import epoch_batches, evaluation_batches

__all__ = [
    "Loader",
    "epoch_batches",
    "evaluation_batches",
    "usable_cpus",
]
