"""Splits whose images have masks, read from the files that people keep masks in."""

from zoo.data.masks._classes import MaskClasses
from zoo.data.masks._coco import read_coco_masks
from zoo.data.masks._folders import (
    Pairs,
    holds_masks,
    mask_files,
    masked_splits,
    read_mask_folders,
)
from zoo.data.masks._masked_files import MaskedFiles
from zoo.data.masks._stacks import holds_stacks, mask_stacks, read_stacks

__all__ = [
    "MaskClasses",
    "MaskedFiles",
    "Pairs",
    "holds_masks",
    "holds_stacks",
    "mask_files",
    "mask_stacks",
    "masked_splits",
    "read_coco_masks",
    "read_mask_folders",
    "read_stacks",
]
