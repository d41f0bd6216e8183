"""What several layouts of files share: the search for images, folders of splits, COCO's JSON."""

from zoo.data.files._coco import (
    CocoFile,
    CocoImage,
    holds_coco,
    identity,
    read_coco_files,
    training_file,
)
from zoo.data.files._search import (
    filled_lines,
    find_files,
    find_images,
    loose_images,
    natural_key,
    size_bytes,
    subfolders,
)
from zoo.data.files._split_folders import SPLIT_NAMES, split_folders

__all__ = [
    "SPLIT_NAMES",
    "CocoFile",
    "CocoImage",
    "filled_lines",
    "find_files",
    "find_images",
    "holds_coco",
    "identity",
    "loose_images",
    "natural_key",
    "read_coco_files",
    "size_bytes",
    "split_folders",
    "subfolders",
    "training_file",
]
