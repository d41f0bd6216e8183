"""Splits whose images have boxes, read from the files that people keep boxes in."""

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._coco import read_coco
from zoo.data.boxes._csv import has_corners, read_boxed_csv
from zoo.data.boxes._objects import Objects, ObjectTable
from zoo.data.boxes._voc import holds_voc, read_voc
from zoo.data.boxes._yolo import holds_yolo, read_yolo

__all__ = [
    "BoxedFiles",
    "ObjectTable",
    "Objects",
    "has_corners",
    "holds_voc",
    "holds_yolo",
    "read_boxed_csv",
    "read_coco",
    "read_voc",
    "read_yolo",
]
