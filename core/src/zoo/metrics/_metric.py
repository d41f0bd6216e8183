"""A metric: sums over a split that merge exactly, and the numbers they give at the end."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo.distributed import gather_rows, sum_over_ranks
from zoo.structures import Batch


class Metric(ABC):
    """Named integer or float64 states, updated on the device, added over batches and ranks.

    The law: any split of the data into batches or ranks, in any order, gives the same value.

    A subclass sets ``self.states`` in ``__init__`` and adds to them in ``update``.  A state is
    summed; or, if ``gathered`` names it, it holds rows whose first column is the image id, which
    are joined and sorted by it.
    """

    gathered: ClassVar[frozenset[str]] = frozenset()
    falling: ClassVar[frozenset[str]] = frozenset()
    """Of the names that ``compute`` gives, those of which less is better: errors."""
    states: dict[str, Tensor]

    @abstractmethod
    def update(self, predictions: Any, batch: Batch) -> None:
        """Add a batch.  No ``.item()``: nothing here waits for the device."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The values, by name, as plain floats; "..._fraction" is shown as per cent."""

    def details(self) -> Mapping[str, Any]:
        """More than single values, read from the same sums; default: nothing.

        Known are "per_class" (scores by class name), "confusion" (k rows of labels, each with k
        predictions) and "notes" (sentences on what a reader should know of the values).
        """
        return {}

    def merge(self, other: Self) -> None:
        """Add the sums of another instance of the same metric."""
        for name, state in other.states.items():
            mine, theirs = self.states[name], state.to(self.states[name].device)
            if name in self.gathered:
                self.states[name] = _sorted_rows(torch.cat([mine, theirs]))
            else:
                self.states[name] = mine + theirs

    def over_ranks(self) -> Self:
        """The same metric with the sums of all processes; every process must call it."""
        whole = copy.copy(self)
        whole.states = {
            name: _sorted_rows(gather_rows(state))
            if name in self.gathered
            else sum_over_ranks(state.clone())
            for name, state in self.states.items()
        }
        return whole

    def to(self, device: torch.device) -> Self:
        """Move the sums to a device."""
        self.states = {name: state.to(device) for name, state in self.states.items()}
        return self

    def reset(self) -> None:
        """Back to zero sums and no rows."""
        for name, state in self.states.items():
            self.states[name] = state[:0] if name in self.gathered else torch.zeros_like(state)


def _sorted_rows(rows: Tensor) -> Tensor:
    return rows[torch.argsort(rows[:, 0], stable=True)]
