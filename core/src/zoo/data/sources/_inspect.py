"""What is known of each image of a split, once it is decoded and hashed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch

from zoo.data.datasets import Dataset, FileDataset, ImageFiles
from zoo.data.decoding import image_content, image_header
from zoo.data.packs import Packed
from zoo.errors import DataError
from zoo.structures import Sample


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """What is known of one image; ``fault`` is empty for a good one.

    ``pixels`` are those of each class, by its number; one pixel for an image with a label.
    """

    name: str
    split: str
    truth: object
    pixels: Mapping[int, int]
    content: bytes = b""
    width: int = 0
    height: int = 0
    mode: str = ""
    fault: str = ""


def inspect_all(split: str, dataset: Dataset) -> Iterator[InspectedImage]:
    """Decode every image of a split, in order."""
    inspect: Callable[[int], InspectedImage]
    if isinstance(dataset, FileDataset) and not isinstance(dataset, Packed):
        inspect = partial(_inspect_file, split, dataset)
    else:
        inspect = partial(_inspect_loaded, split, dataset)
    # Pillow decodes without holding the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        yield from pool.map(inspect, range(len(dataset)))


def _inspect_file(split: str, dataset: FileDataset, index: int) -> InspectedImage:
    path = dataset.path(index)
    try:
        width, height, mode = image_header(path)
        truth, pixels = _truth(dataset.load(index))
        content = hashlib.sha256(image_content(path)).digest()
    except (DataError, OSError) as error:
        fault = error.cause if isinstance(error, DataError) else str(error)
        own = {int(dataset.labels[index]): 1} if isinstance(dataset, ImageFiles) else {}
        return InspectedImage(str(path), split, None, own, fault=fault)
    return InspectedImage(str(path), split, truth, pixels, content, width, height, mode)


def _inspect_loaded(split: str, dataset: Dataset, index: int) -> InspectedImage:
    try:
        sample = dataset.load(index)
    except DataError as error:
        return InspectedImage(dataset.describe(index), split, None, {}, fault=error.cause)
    channels, height, width = sample.image.shape
    content = hashlib.sha256(sample.image.contiguous().numpy().tobytes()).digest()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    truth, pixels = _truth(sample)
    return InspectedImage(
        dataset.describe(index), split, truth, pixels, content, width, height, mode
    )


def _truth(sample: Sample) -> tuple[object, Mapping[int, int]]:
    """What must be equal for images of equal content, and the pixels of each class."""
    if "boxes" in sample.targets:
        labels = torch.as_tensor(sample.targets["labels"])
        boxes = torch.as_tensor(sample.targets["boxes"])
        objects = sorted(zip(labels.tolist(), boxes.tolist(), strict=True))
        return str(objects), Counter(label for label in labels.tolist() if label >= 0)
    if "labels" in sample.targets:
        label = int(sample.targets["labels"])
        return label, {label: 1}
    if "masks" not in sample.targets:  # of a task that has no classes
        values = {name: torch.as_tensor(target) for name, target in sample.targets.items()}
        return str({name: values[name].tolist() for name in sorted(values)}), {}
    mask = torch.as_tensor(sample.targets["masks"])
    counts = torch.bincount(mask.flatten()).tolist()
    truth = hashlib.sha256(mask.contiguous().numpy().tobytes()).digest()
    return truth, {number: count for number, count in enumerate(counts) if count}
