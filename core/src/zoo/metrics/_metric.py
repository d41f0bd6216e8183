"""A metric: sums over a split that merge exactly, and the numbers they give at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor

from zoo.structures import Batch


class Metric(ABC):
    """Named integer or float64 states, updated on the device, added over batches and ranks.

    The law: any split of the data into batches or ranks, in any order, gives the same value.

    A subclass sets ``self.states`` in ``__init__`` and adds to them in ``update``.  A state is
    reduced by "sum"; or by "gather", in which case it is a list of rows whose first column is the
    image id, and ``compute`` sees them sorted by it.
    """

    states: dict[str, Tensor]

    @abstractmethod
    def update(self, predictions: Any, batch: Batch) -> None:
        """Add a batch.  No ``.item()``: nothing here waits for the device."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The values, by name, as plain floats."""

    def merge(self, other: Self) -> None:
        """Add the sums of another instance of the same metric."""
        for name, state in other.states.items():
            self.states[name] = self.states[name] + state.to(self.states[name].device)

    def to(self, device: torch.device) -> Self:
        """Move the sums to a device."""
        self.states = {name: state.to(device) for name, state in self.states.items()}
        return self

    def reset(self) -> None:
        """Back to zero sums."""
        for state in self.states.values():
            state.zero_()
