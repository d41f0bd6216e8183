"""Training metrics of an epoch: sums on the device, read only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo.devices import send
from zoo.distributed import sum_over_ranks
from zoo.metrics import Metric
from zoo.structures import Batch, Step

_ADD_EVERY = 64
"""Micro-batches whose losses are added at once; a single addition costs a tiny step dearly."""


@dataclass
class _RunningLoss:
    """One loss's sum and count so far, and those of the last micro-batches, not yet added.

    When they are added depends on their number alone, so that a resumed run rounds alike.
    """

    weight: float
    sums: Tensor
    totals: list[Tensor] = field(default_factory=list)
    counts: list[Tensor | float] = field(default_factory=list)

    def append(self, total: Tensor, count: Tensor | float) -> None:
        self.totals.append(total)
        self.counts.append(count)
        if len(self.totals) == _ADD_EVERY:
            self.sums = self.all_sums()
            self.totals, self.counts = [], []

    def recent(self) -> Tensor:
        """(2, m) float64: what is not yet added."""
        return torch.stack([self._column(self.totals), self._column(self.counts)])

    def all_sums(self) -> Tensor:
        """(2,) float64: sum and count of everything."""
        return self.sums + self.recent().sum(1) if self.totals else self.sums

    def _column(self, values: Sequence[Tensor | float]) -> Tensor:
        tensors = [value for value in values if isinstance(value, Tensor)]
        if len(tensors) == len(values) and len({tensor.dtype for tensor in tensors}) == 1:
            return torch.stack(tensors).to(self.sums.device).double()
        numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
        return send(numbers, self.sums.device)


class RunningMetrics:
    """The mean losses and the light metrics over the steps of an epoch so far."""

    def __init__(self, metrics: Mapping[str, Metric], device: torch.device) -> None:
        self._metrics = {name: metric.to(device) for name, metric in metrics.items()}
        self._losses: dict[str, _RunningLoss] = {}
        # MPS has no float64.
        self._device = device if device.type != "mps" else torch.device("cpu")

    def update(self, step: Step, batch: Batch) -> None:
        """Add a (micro-)batch, detached; nothing here waits for the device."""
        for name, loss in step.losses.items():
            self._running(name, loss.weight).append(loss.total, loss.count)
        for metric in self._metrics.values():
            metric.update(step.predictions, batch)

    def compute(self) -> dict[str, float]:
        """The values over all processes; waits for the device, and every rank must call it."""
        means = {}
        # In one order on every rank, and after a resume, which has read them by name.
        for name, running in sorted(self._losses.items()):
            total, count = sum_over_ranks(running.all_sums().clone())
            means[name] = float(total / count)
        values = {"loss": sum(self._losses[name].weight * mean for name, mean in means.items())}
        if len(means) > 1:
            values |= {f"loss/{name}": mean for name, mean in means.items()}
        for metric in self._metrics.values():
            values |= metric.over_ranks().compute()
        return values

    def reset(self) -> None:
        """Begin an epoch."""
        self._losses = {}
        for metric in self._metrics.values():
            metric.reset()

    def tensors(self) -> dict[str, Tensor]:
        """The sums so far, by name; what a checkpoint keeps."""
        tensors = {}
        for name, running in self._losses.items():
            weight = running.sums.new_tensor([running.weight])
            tensors[f"loss/{name}"] = torch.cat([running.sums, weight])
            if running.totals:
                tensors[f"recent/{name}"] = running.recent()
        for name, metric in self._metrics.items():
            tensors |= {f"metric/{name}/{key}": state for key, state in metric.states.items()}
        return tensors

    def add(self, tensors: Mapping[str, Tensor]) -> None:
        """Add what ``tensors`` gave, of this process or of another."""
        for path, tensor in tensors.items():
            kind, name = path.split("/", 1)
            if kind == "loss":
                value = tensor.to(self._device)
                running = self._running(name, float(value[2]))
                running.sums = running.sums + value[:2]
                for total, count in tensors.get(f"recent/{name}", value.new_empty(2, 0)).T:
                    running.append(total.to(self._device), count.to(self._device))
            elif kind == "metric":
                metric, key = name.rsplit("/", 1)
                states = self._metrics[metric].states
                states[key] = states[key] + tensor.to(states[key].device)

    def _running(self, name: str, weight: float) -> _RunningLoss:
        if name not in self._losses:
            zeros = torch.zeros(2, dtype=torch.float64, device=self._device)
            self._losses[name] = _RunningLoss(weight, zeros)
        return self._losses[name]
