"""Use trained weights: the record of what they need, and models ready to call on images."""

from zoo.inference._loading import build_predictor, load_model, load_run, open_method
from zoo.inference._predictor import ImageLike, Predictor
from zoo.inference._record import ModelRecord

__all__ = [
    "ImageLike",
    "ModelRecord",
    "Predictor",
    "build_predictor",
    "load_model",
    "load_run",
    "open_method",
]
