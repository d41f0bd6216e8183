"""The named tensors that travel between rooms, with their shapes."""

from zoo.structures._backbone import Backbone, Stage
from zoo.structures._batch import Batch, Sample, SampleKey, SampleKeys
from zoo.structures._step import LossSum, Step, loss_weights

__all__ = [
    "Backbone",
    "Batch",
    "LossSum",
    "Sample",
    "SampleKey",
    "SampleKeys",
    "Stage",
    "Step",
    "loss_weights",
]
