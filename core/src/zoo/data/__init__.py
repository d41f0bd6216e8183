"""Yield verified, seeded, resumable batches from files as people have them."""

from zoo.data._border_weights import weigh_borders
from zoo.data._box_stage import to_own_pixels
from zoo.data._box_transforms import box_transforms
from zoo.data._boxed_files import BoxedFiles
from zoo.data._check import SourceCheck, check_source
from zoo.data._dataset import Dataset, ResidentDataset
from zoo.data._decode import decode_image
from zoo.data._digit_scenes import digit_boxes, digit_scenes
from zoo.data._digits import digits
from zoo.data._files import FileDataset
from zoo.data._image_transforms import image_transforms
from zoo.data._loader import Loader
from zoo.data._mask_transforms import mask_transforms
from zoo.data._masked_files import MaskedFiles
from zoo.data._named import find_dataset, read_dataset
from zoo.data._order import epoch_batches, evaluation_batches
from zoo.data._pack import PackResult, write_pack
from zoo.data._pack_sample import Packing
from zoo.data._resident import Resident
from zoo.data._source import Source, open_source
from zoo.data._torchvision import torchvision_splits
from zoo.data._transforms import BatchTransform, Resizing, Transforms

__all__ = [
    "BatchTransform",
    "BoxedFiles",
    "Dataset",
    "FileDataset",
    "Loader",
    "MaskedFiles",
    "PackResult",
    "Packing",
    "Resident",
    "ResidentDataset",
    "Resizing",
    "Source",
    "SourceCheck",
    "Transforms",
    "box_transforms",
    "check_source",
    "decode_image",
    "digit_boxes",
    "digit_scenes",
    "digits",
    "epoch_batches",
    "evaluation_batches",
    "find_dataset",
    "image_transforms",
    "mask_transforms",
    "open_source",
    "read_dataset",
    "to_own_pixels",
    "torchvision_splits",
    "weigh_borders",
    "write_pack",
]
