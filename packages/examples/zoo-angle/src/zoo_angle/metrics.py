"""How far angles are from the truth, as integer sums: exact for every batch size and order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo import Metric
from zoo.structures import Batch

_STEPS = 1_000_000
"""Of a degree, in which errors are added up."""


class AngleError(Metric):
    """The mean error in degrees, the short way round, and the fraction of images near enough.

    Args:
        classes: of every metric's factory; angles have none.
        tolerance_deg: how near is near enough.
    """

    falling = frozenset({"mean_error_deg"})

    def __init__(self, *, classes: Sequence[str] = (), tolerance_deg: float = 10.0) -> None:
        self.tolerance_deg = tolerance_deg
        names = ("error", "within", "images")
        self.states = {name: torch.zeros((), dtype=torch.int64) for name in names}

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of arrows (b, 2), whose truth is ``batch.targets["angles_deg"]`` (b,)."""
        errors = error_deg(predictions, batch.targets["angles_deg"])
        self.states["error"] += (errors * _STEPS).round().to(torch.int64).sum()
        self.states["within"] += (errors <= self.tolerance_deg).sum()
        self.states["images"] += len(errors)

    def compute(self) -> dict[str, float]:
        """``mean_error_deg`` and, for 10 degrees, ``within_10_deg_fraction``; NaN for no image."""
        error, within, images = (int(self.states[name]) for name in ("error", "within", "images"))
        return {
            "mean_error_deg": error / _STEPS / images if images else float("nan"),
            f"within_{self.tolerance_deg:g}_deg_fraction": (
                within / images if images else float("nan")
            ),
        }


def error_deg(arrows: Tensor, angles_deg: Tensor) -> Tensor:
    """From each arrow (b, 2), right and up, to its angle (b,), 0 to 180 degrees; 180 for NaN."""
    precise = torch.float32 if arrows.device.type == "mps" else torch.float64
    right, up = arrows.to(precise).unbind(1)
    difference = torch.rad2deg(torch.atan2(right, up)) - angles_deg.to(precise)
    return ((difference + 180) % 360 - 180).abs().nan_to_num(180.0)
