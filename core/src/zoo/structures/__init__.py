"""The named tensors that travel between rooms, with their shapes."""

from zoo.structures._backbone import Backbone, Stage
from zoo.structures._batch import Batch, Sample, SampleKey
from zoo.structures._step import LossSum, Step, total_loss

__all__ = ["Backbone", "Batch", "LossSum", "Sample", "SampleKey", "Stage", "Step", "total_loss"]
