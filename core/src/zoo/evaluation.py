"""Run a model over a split and return exact metrics.

Sums on the device, read once at the end: the values are the same for every batch size, number of
processes and order, and every image is counted exactly once, or the evaluation fails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from zoo.devices import autocast
from zoo.distributed import gather_objects, sum_over_ranks
from zoo.errors import DataError, ZooError
from zoo.memory import MicroBatchSize
from zoo.models import fold_batch_norms
from zoo.structures import SampleKey
from zoo.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn

    from zoo.data.datasets import Dataset
    from zoo.data.transforms import Transforms
    from zoo.metrics import Metric
    from zoo.structures import Batch, LossSum, Step
    from zoo.tasks import Task

Plan = Sequence[Sequence[SampleKey]]
"""The samples of each batch."""


class BatchSource(Protocol):
    """What gives the batches of a plan; ``zoo.data.loading.Loader`` is one."""

    def batches(self, plan: Plan) -> Iterable[Batch]:
        """The batches, in the order of the plan."""


def evaluate(  # noqa: PLR0913  (what a run is made of)
    model: nn.Module,
    task: Task,
    loader: BatchSource,
    plan: Plan,
    *,
    dataset: Dataset,
    transforms: Transforms,
    device: torch.device,
    precision: str = "fp32",
    split: str = "val",
    fold: bool = False,
    metrics: Mapping[str, Metric] | None = None,
    micro_batch: MicroBatchSize | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """The losses and metrics of a model on a split; its train and eval modes stay as they were.

    Args:
        model: on ``device``.
        task: says the losses and, unless ``metrics`` are given, the metrics.
        loader: gives the batches of ``plan``.
        plan: this process's share of the split; the shares of all processes are the split.
        dataset: the split itself, every image of which must come.
        transforms: of the split; only the batch stage is run here.
        device: where the model is.
        precision: "fp32", "bf16" or "fp16", as ``zoo.devices.autocast`` takes it.
        split: its name, for the task's metrics and for messages.
        fold: run a copy of the model whose batch norms are in its convolutions; its values differ
            by roundings.
        metrics: what to compute; read more from them afterwards (``per_class``, ``matrix``): they
            hold the sums over all processes then.
        micro_batch: how many images of a batch go through the model at once, and tells when
            memory is short; default: as many as fit.
        progress: called with the images done and planned in this process, after each batch.

    Returns:
        "loss", where the model can say it; "loss/NAME" for each of several losses; and what the
        metrics compute ("top1", "ece").

    Raises:
        DataError: the split is empty.
        DeviceMemoryError: there is no memory for a single image.
        ZooError: an image was counted twice or not at all.
    """
    if len(dataset) == 0:
        raise DataError(f"the split {split!r} holds no image", "Name another with --split.")
    metrics = dict(task.metrics(split) if metrics is None else metrics)
    for metric in metrics.values():
        metric.to(device)
    micro_batch = micro_batch or MicroBatchSize(device)
    losses = _LossSums()

    def forward(batch: Batch, start: int, stop: int) -> tuple[Batch, Step]:
        part = transforms.batch(batch.rows(start, stop).to(device))
        return part, task.step(model, part)

    seen = torch.zeros(len(dataset), dtype=torch.int32, device=device)
    planned, done = sum(len(keys) for keys in plan), 0
    # Not inference_mode: under that autocast rounds the weights anew for every batch.
    with evaluating(model), torch.no_grad(), autocast(device, precision):
        for batch in loader.batches(plan):
            if fold and done == 0:
                model = _folded(model, task, transforms.batch(batch.rows(0, 1).to(device)))
            for part, step in micro_batch.run(partial(forward, batch), len(batch)):
                losses.add(step.losses)
                seen.index_add_(0, part.ids, torch.ones_like(part.ids, dtype=seen.dtype))
                for metric in metrics.values():
                    metric.update(step.predictions, part)
            done += len(batch)
            if progress is not None:
                progress(done, planned)
    _check_each_once(sum_over_ranks(seen), dataset, split)
    return losses.means() | _computed(metrics)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, and afterwards each back in the mode that it was in."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            # Not train(): a frozen batch norm overrides it, and children have modes of their own.
            module.training = mode


def _folded(model: nn.Module, task: Task, example: Batch) -> nn.Module:
    return fold_batch_norms(model, lambda either: task.step(either, example))


class _LossSums:
    """Losses by name; what is on the device is read only at the end."""

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._totals: dict[str, list[Tensor | float]] = {}
        self._counts: dict[str, list[Tensor | float]] = {}

    def add(self, losses: Mapping[str, LossSum]) -> None:
        for name, loss in losses.items():
            self._weights[name] = loss.weight
            self._totals.setdefault(name, []).append(loss.total.detach())
            self._counts.setdefault(name, []).append(loss.count)

    def means(self) -> dict[str, float]:
        """The weighted sum as "loss", and "loss/NAME" where there are several."""
        sums = {name: (_sum(self._totals[name]), _sum(self._counts[name])) for name in self._totals}
        # As objects: a process whose share is empty has heard of no loss.
        shares = gather_objects((self._weights, sums))
        weights: dict[str, float] = {k: v for weights, _ in shares for k, v in weights.items()}
        means = {
            name: _mean([sums[name] for _, sums in shares if name in sums]) for name in weights
        }
        if not means:
            return {}
        whole = sum(weights[name] * mean for name, mean in means.items())
        parts = {f"loss/{name}": mean for name, mean in means.items()} if len(means) > 1 else {}
        return {"loss": whole, **parts}


def _mean(shares: Sequence[tuple[float, float]]) -> float:
    total, count = (_sum(column) for column in zip(*shares, strict=True))
    return total / count if count else math.nan


def _sum(values: Sequence[Tensor | float]) -> float:
    """The exactly rounded sum, which no order of the batches changes."""
    tensors = [value.reshape(()) for value in values if isinstance(value, torch.Tensor)]
    numbers = [float(value) for value in values if not isinstance(value, torch.Tensor)]
    if tensors:
        numbers += torch.stack(tensors).tolist()
    finite = all(map(math.isfinite, numbers))
    return math.fsum(numbers) if finite else sum(numbers)


def _computed(metrics: Mapping[str, Metric]) -> dict[str, float]:
    values: dict[str, float] = {}
    for metric in metrics.values():
        metric.states = metric.over_ranks().states
        computed = metric.compute()
        if twice := values.keys() & computed.keys():
            raise ZooError(
                f"two metrics compute {', '.join(sorted(twice))}", "Leave one of them out."
            )
        values |= computed
    return values


def _check_each_once(seen: Tensor, dataset: Dataset, split: str) -> None:
    if bool((seen == 1).all()):
        return
    wrong = [int(index) for index in (seen != 1).nonzero().flatten()[:3]]
    counts = ", ".join(f"{dataset.describe(i)} {counted(int(seen[i]), 'time')}" for i in wrong)
    raise ZooError(
        f"the evaluation of {split!r} counted {int(seen.sum())} of"
        f" {counted(len(dataset), 'image')}: {counts}",
        "Every image must be counted once; the plans of all processes must add up to the split.",
    )
