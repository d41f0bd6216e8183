"""What happens to images and their targets, seeded, from decoding to the model."""

from zoo.data.transforms._border_weights import weigh_borders
from zoo.data.transforms._box_stage import to_own_pixels
from zoo.data.transforms._box_transforms import box_transforms
from zoo.data.transforms._image_transforms import image_transforms
from zoo.data.transforms._mask_transforms import mask_transforms
from zoo.data.transforms._sample_stage import resize
from zoo.data.transforms._transforms import (
    BatchTransform,
    DrawingTransform,
    Resizing,
    SampleTransform,
    Transforms,
)

__all__ = [
    "BatchTransform",
    "DrawingTransform",
    "Resizing",
    "SampleTransform",
    "Transforms",
    "box_transforms",
    "image_transforms",
    "mask_transforms",
    "resize",
    "to_own_pixels",
    "weigh_borders",
]
