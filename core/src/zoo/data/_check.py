"""What is in a source, and what is wrong with it: every image is decoded and hashed."""

from __future__ import annotations

import hashlib
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from zoo.data._dataset import Dataset
from zoo.data._decode import image_header
from zoo.data._files import ImageFiles
from zoo.data._source import Source
from zoo.errors import DataError

_USUAL_MODES = ("RGB", "L")
_IMBALANCED = 10


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Least, middle and greatest of some numbers."""

    least: float
    median: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.least:g} / {self.median:g} / {self.greatest:g}"


@dataclass(frozen=True, kw_only=True)
class SplitCheck:
    """One split.

    Attributes:
        images: their number, unreadable ones included.
        classes: images of each class, by name.
        width_px, height_px: of the readable images; None where there are none.
        modes: images of each of Pillow's modes ("RGB", "L", "P", "CMYK", ...).
    """

    images: int
    classes: Mapping[str, int]
    width_px: Spread | None
    height_px: Spread | None
    modes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class SourceCheck:
    """The whole source.

    Attributes:
        name, layout: of the source.
        splits: by name.
        bad_images: what is wrong with each file that cannot be decoded, by its path.
        across_splits: groups of files with the same content in more than one split.
        across_classes: groups of files with the same content and different classes.
        repeated: files whose content another file of the same split and class has.
        problems: sentences about what makes training or its scores wrong.
        notes: sentences about what one should know.
    """

    name: str
    layout: str
    splits: Mapping[str, SplitCheck]
    bad_images: Mapping[str, str]
    across_splits: Sequence[Sequence[str]]
    across_classes: Sequence[Sequence[str]]
    repeated: int
    problems: Sequence[str]
    notes: Sequence[str]


def check_source(
    source: Source, *, progress: Callable[[int, int], None] | None = None
) -> SourceCheck:
    """Decode every image of every split, and compare their contents.

    Args:
        source: opened without leaving anything out.
        progress: told how many images are done, of how many.
    """
    total = sum(len(dataset) for dataset in source.splits.values())
    found: dict[str, list[_Image]] = {}
    done = 0
    for split, dataset in source.splits.items():
        found[split] = []
        for image in _inspect_all(split, dataset):
            found[split].append(image)
            done += 1
            if progress is not None:
                progress(done, total)
    everything = [image for images in found.values() for image in images]
    bad = {image.name: image.fault for image in everything if image.fault}
    across_splits, across_classes, repeated = _duplicates(everything)
    splits = {split: _summarise(images, source.classes) for split, images in found.items()}
    return SourceCheck(
        name=source.name,
        layout=source.layout,
        splits=splits,
        bad_images=bad,
        across_splits=across_splits,
        across_classes=across_classes,
        repeated=repeated,
        problems=_problems(splits, bad, across_splits, across_classes),
        notes=_notes(splits, repeated),
    )


@dataclass(frozen=True, slots=True)
class _Image:
    """What is known of one image; ``fault`` is empty for a good one."""

    name: str
    split: str
    label: int
    content: bytes
    width: int
    height: int
    mode: str
    fault: str


def _inspect_all(split: str, dataset: Dataset) -> Iterator[_Image]:
    inspect = _inspect_file if isinstance(dataset, ImageFiles) else _inspect_resident
    # Pillow decodes without holding the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda index: inspect(split, dataset, index), range(len(dataset)))


def _inspect_file(split: str, dataset: Dataset, index: int) -> _Image:
    assert isinstance(dataset, ImageFiles)  # noqa: S101
    path, label = dataset.path(index), int(dataset.labels[index])
    try:
        width, height, mode = image_header(path)
        dataset.load(index)
        content = hashlib.sha256(path.read_bytes()).digest()
    except (DataError, OSError) as error:
        fault = error.cause if isinstance(error, DataError) else str(error)
        return _Image(str(path), split, label, b"", 0, 0, "", fault)
    return _Image(str(path), split, label, content, width, height, mode, "")


def _inspect_resident(split: str, dataset: Dataset, index: int) -> _Image:
    sample = dataset.load(index)
    channels, height, width = sample.image.shape
    content = hashlib.sha256(sample.image.contiguous().numpy().tobytes()).digest()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    label = int(sample.targets["labels"])
    return _Image(dataset.describe(index), split, label, content, width, height, mode, "")


def _duplicates(images: Sequence[_Image]) -> tuple[list[list[str]], list[list[str]], int]:
    """Groups across splits, groups across classes, and the number of other repetitions."""
    by_content: dict[bytes, list[_Image]] = defaultdict(list)
    for image in images:
        if not image.fault:
            by_content[image.content].append(image)
    across_splits, across_classes, repeated = [], [], 0
    for group in by_content.values():
        if len(group) == 1:
            continue
        names = [image.name for image in group]
        if len({image.split for image in group}) > 1:
            across_splits.append(names)
        if len({image.label for image in group}) > 1:
            across_classes.append(names)
        repeated += len(group) - len({(image.split, image.label) for image in group})
    return across_splits, across_classes, repeated


def _summarise(images: Sequence[_Image], classes: Sequence[str]) -> SplitCheck:
    counts = Counter(image.label for image in images)
    good = [image for image in images if not image.fault]
    return SplitCheck(
        images=len(images),
        classes={name: counts[label] for label, name in enumerate(classes)},
        width_px=_spread([image.width for image in good]),
        height_px=_spread([image.height for image in good]),
        modes=dict(Counter(image.mode for image in good).most_common()),
    )


def _spread(numbers: Sequence[int]) -> Spread | None:
    if not numbers:
        return None
    return Spread(least=min(numbers), median=statistics.median(numbers), greatest=max(numbers))


def _problems(
    splits: Mapping[str, SplitCheck],
    bad: Mapping[str, str],
    across_splits: Sequence[Sequence[str]],
    across_classes: Sequence[Sequence[str]],
) -> list[str]:
    problems = []
    if bad:
        problems.append(f"{_count(len(bad), 'image')} cannot be read")
    if across_splits:
        problems.append(
            f"{_count(len(across_splits), 'image')} in more than one split, which makes scores"
            " too good"
        )
    if across_classes:
        problems.append(f"{_count(len(across_classes), 'image')} in more than one class")
    absent = [name for name, count in splits["train"].classes.items() if count == 0]
    if absent:
        problems.append(f"no training images of {', '.join(absent)}")
    return problems


def _notes(splits: Mapping[str, SplitCheck], repeated: int) -> list[str]:
    notes = []
    if repeated:
        notes.append(f"{_count(repeated, 'file')} repeated within a split and class")
    for split, check in splits.items():
        odd = {mode: n for mode, n in check.modes.items() if mode not in _USUAL_MODES}
        if odd:
            listed = ", ".join(f"{n} of {mode}" for mode, n in odd.items())
            notes.append(f"{split} has unusual modes: {listed}")
        missing = [name for name, count in check.classes.items() if count == 0]
        if missing and split != "train":
            notes.append(f"{split} has no images of {', '.join(missing)}")
    counts = splits["train"].classes
    rare, frequent = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if 0 < counts[rare] * _IMBALANCED <= counts[frequent]:
        notes.append(
            f"train is imbalanced: {counts[rare]} of {rare}, {counts[frequent]} of {frequent}"
        )
    return notes


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
