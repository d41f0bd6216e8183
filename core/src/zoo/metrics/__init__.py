"""Pure functions and mergeable sums."""

from zoo.metrics._boundaries import BoundaryScores
from zoo.metrics._classification import Accuracy, CalibrationError, ClassScores, ConfusionMatrix
from zoo.metrics._detection import BoxPrecision, VOCPrecision
from zoo.metrics._metric import Metric
from zoo.metrics._rand import RandScore
from zoo.metrics._segmentation import RegionScores

__all__ = [
    "Accuracy",
    "BoundaryScores",
    "BoxPrecision",
    "CalibrationError",
    "ClassScores",
    "ConfusionMatrix",
    "Metric",
    "RandScore",
    "RegionScores",
    "VOCPrecision",
]
