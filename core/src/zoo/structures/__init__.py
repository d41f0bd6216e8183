"""The named tensors that travel between rooms, with their shapes."""

from zoo.structures._backbone import Backbone, Stage
from zoo.structures._batch import IGNORED, Batch, Sample, SampleKey, SampleKeys
from zoo.structures._detections import Detections, DetectorOutput
from zoo.structures._step import EVERY_LOSS, LossSum, Step, loss_weights
from zoo.structures._tiling import Tiling

__all__ = [
    "EVERY_LOSS",
    "IGNORED",
    "Backbone",
    "Batch",
    "Detections",
    "DetectorOutput",
    "LossSum",
    "Sample",
    "SampleKey",
    "SampleKeys",
    "Stage",
    "Step",
    "Tiling",
    "loss_weights",
]
