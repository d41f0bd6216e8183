"""From the words of ``--data`` to verified splits, whatever their layout, or to images alone."""

from zoo.data.sources._check import SourceCheck, check_source
from zoo.data.sources._folders import read_folders
from zoo.data.sources._images_alone import ImageAlone, images_at
from zoo.data.sources._named import find_dataset, read_dataset
from zoo.data.sources._open import open_source

__all__ = [
    "ImageAlone",
    "SourceCheck",
    "check_source",
    "find_dataset",
    "images_at",
    "open_source",
    "read_dataset",
    "read_folders",
]
