"""A metric that keeps the contract, and metrics that break one promise each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from zoo.metrics import Metric
from zoo.structures import Batch


class Honest(Metric):
    """The fraction of images with the right class."""

    def __init__(self, *, classes: Sequence[str]) -> None:
        self.states = {"right": torch.zeros((), dtype=torch.int64), "images": torch.tensor(0)}

    def update(self, predictions: Tensor, batch: Batch) -> None:
        self.states["right"] += self.right(predictions, batch).sum()
        self.states["images"] += len(batch)

    def right(self, predictions: Tensor, batch: Batch) -> Tensor:
        # Not the label: all of a fresh model's answers may be wrong.
        return predictions.argmax(1) % 2 == batch.ids % 2

    def compute(self) -> dict[str, float]:
        images = int(self.states["images"])
        return {"right": int(self.states["right"]) / images if images else 0.0}


class WrongKey(Honest):
    """Computes what the card does not name."""

    def compute(self) -> dict[str, float]:
        return {"accuracy": super().compute()["right"]}


class FallsElsewhere(Honest):
    """Says that less is better of what it does not compute."""

    falling = frozenset({"error"})


class TensorValue(Honest):
    """Gives tensors for floats."""

    def compute(self) -> dict[str, Any]:
        return {"right": torch.tensor(super().compute()["right"])}


class MeanOfMeans(Honest):
    """Averages over batches."""

    def __init__(self, *, classes: Sequence[str]) -> None:
        self.states = {"means": torch.zeros((), dtype=torch.float64), "batches": torch.tensor(0)}

    def update(self, predictions: Tensor, batch: Batch) -> None:
        self.states["means"] += self.right(predictions, batch).double().mean()
        self.states["batches"] += 1

    def compute(self) -> dict[str, float]:
        batches = int(self.states["batches"])
        return {"right": float(self.states["means"]) / batches if batches else 0.0}


class InOrder(Honest):
    """Counts the images that come after one with a higher number."""

    def __init__(self, *, classes: Sequence[str]) -> None:
        super().__init__(classes=classes)
        self._last = -1

    def update(self, predictions: Tensor, batch: Batch) -> None:
        super().update(predictions, batch)
        for number in batch.ids.tolist():
            self.states["right"] += number < self._last
            self._last = number

    def reset(self) -> None:
        super().reset()
        self._last = -1


class Forgetful(Honest):
    """Merges half of what the other one has."""

    def merge(self, other: Self) -> None:
        self.states["right"] += other.states["right"]


class BesideStates(Honest):
    """Counts images where no other process can see it."""

    def __init__(self, *, classes: Sequence[str]) -> None:
        super().__init__(classes=classes)
        del self.states["images"]
        self._images = 0

    def update(self, predictions: Tensor, batch: Batch) -> None:
        self.states["right"] += self.right(predictions, batch).sum()
        self._images += len(batch)

    def merge(self, other: Self) -> None:
        super().merge(other)
        self._images += other._images

    def reset(self) -> None:
        super().reset()
        self._images = 0

    def compute(self) -> dict[str, float]:
        return {"right": int(self.states["right"]) / self._images if self._images else 0.0}


class Rounded(Honest):
    """Sums in 32 bits."""

    def __init__(self, *, classes: Sequence[str]) -> None:
        super().__init__(classes=classes)
        self.states["right"] = self.states["right"].float()


class Unforgetting(Honest):
    """Keeps what it should forget."""

    def reset(self) -> None:
        pass


class Wearing(Honest):
    """Counts how often it was asked."""

    def compute(self) -> dict[str, float]:
        value = super().compute()
        self.states["images"] += 1
        return value
