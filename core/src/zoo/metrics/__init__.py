"""Pure functions and mergeable sums."""

from zoo.metrics._metric import Metric

__all__ = ["Metric"]
