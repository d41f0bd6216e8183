"""Training metrics of an epoch, on devices that lack something."""

from __future__ import annotations

import torch

from zoo.structures import Batch, LossSum, Step
from zoo.training._running import RunningMetrics


def test_the_sums_for_mps_lie_on_the_host_since_it_has_no_float64() -> None:
    running = RunningMetrics({}, torch.device("mps"))
    batch = Batch(torch.zeros(4, 1, 2, 2), torch.zeros(4, 2), torch.arange(4), {})

    running.update(Step({"loss": LossSum(torch.tensor(2.0), 4.0)}, None), batch)

    assert running.compute() == {"loss": 0.5}
