"""Say what a batch, a loss, a prediction, a score and a picture are for one purpose."""

from zoo.tasks._classification import ClassificationTask
from zoo.tasks._detection import DetectionTask
from zoo.tasks._segmentation import SegmentationTask
from zoo.tasks._task import Task

__all__ = ["ClassificationTask", "DetectionTask", "SegmentationTask", "Task"]
