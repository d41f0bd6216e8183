"""What a data set is: one split, in files or in memory, and all the splits of a source."""

from zoo.data.datasets._dataset import Dataset, ResidentDataset, Splits, check_one_dtype
from zoo.data.datasets._file_dataset import FileDataset, ImageFiles
from zoo.data.datasets._resident import Resident, ResidentBoxes
from zoo.data.datasets._source import Source
from zoo.data.datasets._splitting import stratified_split

__all__ = [
    "Dataset",
    "FileDataset",
    "ImageFiles",
    "Resident",
    "ResidentBoxes",
    "ResidentDataset",
    "Source",
    "Splits",
    "check_one_dtype",
    "stratified_split",
]
