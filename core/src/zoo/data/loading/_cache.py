"""Decoded images in memory: an image is decoded once in a run, where all of them fit.

What is kept is the decoded file, never an augmented image.  "auto" keeps a split that is expected
to take at most ``FREE_MEMORY_FRACTION`` of the memory that is free when reading begins.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from zoo.data.datasets import Dataset, ResidentDataset
from zoo.structures import Sample

FREE_MEMORY_FRACTION = 0.25
_PROBES = 64


class CachedDataset:
    """A data set whose samples are all in memory already."""

    def __init__(self, dataset: Dataset, samples: list[Sample]) -> None:
        self._dataset = dataset
        self._samples = samples
        self.classes = dataset.classes

    def __len__(self) -> int:
        return len(self._samples)

    def load(self, index: int) -> Sample:
        """The sample as it was decoded."""
        return self._samples[index]

    def describe(self, index: int) -> str:
        """As the data set says."""
        return self._dataset.describe(index)

    def fingerprint(self) -> str:
        """As the data set says."""
        return self._dataset.fingerprint()


def cache_images(dataset: Dataset, cache: Literal["auto", "memory", "none"]) -> Dataset:
    """The data set with every image decoded, or itself.

    Raises:
        DataError: an image cannot be decoded.
    """
    if cache == "none" or isinstance(dataset, ResidentDataset) or not len(dataset):
        return dataset
    if cache == "auto" and expected_bytes(dataset) > FREE_MEMORY_FRACTION * free_memory_bytes():
        return dataset
    with ThreadPoolExecutor(_threads()) as pool:
        return CachedDataset(dataset, list(pool.map(dataset.load, range(len(dataset)))))


def expected_bytes(dataset: Dataset) -> float:
    """Of all decoded images, from evenly spaced ones; twice their mean, to be on the safe side."""
    step = max(1, len(dataset) // _PROBES)
    probes = [dataset.load(index).image.nbytes for index in range(0, len(dataset), step)]
    return 2.0 * len(dataset) * sum(probes) / len(probes)


def free_memory_bytes() -> float:
    """Memory that this process may still take, shared with the run's other local processes."""
    free = _available_bytes()
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such control group, or no limit ("max")
            continue
    return max(0.0, free / int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _available_bytes() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) / 2
    except (ValueError, OSError, AttributeError):
        return 0.0


def _threads() -> int:
    return min(16, os.cpu_count() or 1)
