"""Write a deployable file and prove that it equals the model.

The graph takes uint8 images as they are decoded and resized, normalises them itself, and answers
with what the task calls its scores.  Beside the graph a file holds what is known of the model.
"""

from zoo.exporting._export import ExportedFile, export_model
from zoo.exporting._formats import FORMATS, check_output
from zoo.exporting._graph import trace
from zoo.exporting._parity import TOLERANCE, Parity
from zoo.exporting._shape import ImageSize, InputShape, choose_shape

__all__ = [
    "FORMATS",
    "TOLERANCE",
    "ExportedFile",
    "ImageSize",
    "InputShape",
    "Parity",
    "check_output",
    "choose_shape",
    "export_model",
    "trace",
]
