"""Training metrics of an epoch: sums on the device, read only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.distributed import sum_over_ranks
from zoo.metrics import Metric
from zoo.structures import Batch, Step


class RunningMetrics:
    """The mean losses and the light metrics over the steps of an epoch so far."""

    def __init__(self, metrics: Mapping[str, Metric], device: torch.device) -> None:
        self._metrics = {name: metric.to(device) for name, metric in metrics.items()}
        self._losses: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}
        self._device = device

    def update(self, step: Step, batch: Batch) -> None:
        """Add a (micro-)batch; nothing here waits for the device."""
        for name, loss in step.losses.items():
            if name not in self._losses:
                self._losses[name] = torch.zeros(2, dtype=torch.float64, device=self._device)
                self._weights[name] = loss.weight
            self._losses[name][0] += loss.total.detach()
            self._losses[name][1] += loss.count
        for metric in self._metrics.values():
            metric.update(step.predictions, batch)

    def compute(self) -> dict[str, float]:
        """The values over all processes; waits for the device, and every rank must call it."""
        sums = {name: sum_over_ranks(pair.clone()) for name, pair in self._losses.items()}
        means = {name: float(total / count) for name, (total, count) in sums.items()}
        values = {"loss": sum(self._weights[name] * mean for name, mean in means.items())}
        if len(means) > 1:
            values |= {f"loss/{name}": mean for name, mean in means.items()}
        for metric in self._metrics.values():
            values |= metric.over_ranks().compute()
        return values

    def reset(self) -> None:
        """Begin an epoch."""
        for pair in self._losses.values():
            pair.zero_()
        for metric in self._metrics.values():
            metric.reset()

    def tensors(self) -> dict[str, Tensor]:
        """The sums so far, by name; what a checkpoint keeps."""
        losses = {
            f"loss/{name}": torch.cat([pair, pair.new_tensor([self._weights[name]])])
            for name, pair in self._losses.items()
        }
        metrics = {
            f"metric/{name}/{key}": state
            for name, metric in self._metrics.items()
            for key, state in metric.states.items()
        }
        return losses | metrics

    def add(self, tensors: Mapping[str, Tensor]) -> None:
        """Add what ``tensors`` gave, of this process or of another."""
        for path, tensor in tensors.items():
            kind, name = path.split("/", 1)
            sums = tensor.to(self._device)
            if kind == "loss":
                self._losses[name] = self._losses.get(name, 0) + sums[:2]
                self._weights[name] = float(sums[2])
            else:
                metric, key = name.rsplit("/", 1)
                states = self._metrics[metric].states
                states[key] = states[key] + sums
