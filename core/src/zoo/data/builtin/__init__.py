"""The data sets of core's own cards: embedded digits, and those that torchvision knows."""

from zoo.data.builtin._digit_scenes import digit_boxes, digit_scenes
from zoo.data.builtin._digits import digits
from zoo.data.builtin._torchvision import torchvision_splits

__all__ = [
    "digit_boxes",
    "digit_scenes",
    "digits",
    "torchvision_splits",
]
