"""What is in a source, and what is wrong with it: every image is decoded and hashed."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.data.datasets import Source
from zoo.data.masks import MaskedFiles
from zoo.data.packs import altered_files
from zoo.data.sources._check_boxes import BoxCounts, bad_boxes, box_notes, count_boxes
from zoo.data.sources._inspect import InspectedImage, inspect_all
from zoo.structures import IGNORED
from zoo.wording import counted

_USUAL_MODES = ("RGB", "L")
_IMBALANCED = 10
_NAMED = 3
_LISTED = 10


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
        classes: images of each class, by name; with masks or boxes, those that show it.
        pixels: of each class over the masks, by name, and of those that are "ignored"; nothing
            without masks.
        boxes: of each class, by name; nothing without boxes.
        box_side_px: the square root of a box's area; None where there are no boxes.
        width_px, height_px: of the readable images; None where there are none.
        modes: images of each of Pillow's modes ("RGB", "L", "P", "CMYK", ...).
    """

    images: int
    classes: Mapping[str, int]
    pixels: Mapping[str, int]
    boxes: Mapping[str, int]
    box_side_px: Spread | None
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
        bad_boxes: what is wrong with boxes, each with its file and number.
        across_splits: groups of files with the same content in more than one split.
        across_classes: groups of files with the same content and different classes or masks, or
            whatever else is to be learned.
        repeated: files whose content another file of the same split and class (or mask) has.
        problems: sentences about what makes training or its scores wrong.
        notes: sentences about what one should know.
    """

    name: str
    layout: str
    splits: Mapping[str, SplitCheck]
    bad_images: Mapping[str, str]
    bad_boxes: Sequence[str]
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
    found: dict[str, list[InspectedImage]] = {}
    done = 0
    for split, dataset in source.splits.items():
        found[split] = []
        for image in inspect_all(split, dataset):
            found[split].append(image)
            done += 1
            if progress is not None:
                progress(done, total)
    everything = [image for images in found.values() for image in images]
    bad = {image.name: image.fault for image in everything if image.fault}
    across_splits, across_classes, repeated = _duplicates(everything)
    masked = any(isinstance(image.truth, bytes) for image in everything)
    masks = [of for of in source.splits.values() if isinstance(of, MaskedFiles)]
    boxes = {
        split: counts
        for split, dataset in source.splits.items()
        if (counts := count_boxes(dataset)) is not None
    }
    bad_ones = bad_boxes(source.splits)
    splits = {
        split: _summarise(images, source.classes, masks=masked, boxes=boxes.get(split))
        for split, images in found.items()
    }
    problems = _problems(splits, bad, across_splits, across_classes, masks)
    problems += altered_files(source.splits)
    if bad_ones:
        problems.insert(0, counted(len(bad_ones), "bad box"))
    return SourceCheck(
        name=source.name,
        layout=source.layout,
        splits=splits,
        bad_images=bad,
        bad_boxes=bad_ones,
        across_splits=across_splits,
        across_classes=across_classes,
        repeated=repeated,
        problems=problems,
        notes=[*box_notes(source.splits, boxes), *_notes(splits, repeated, masks)],
    )


def _duplicates(images: Sequence[InspectedImage]) -> tuple[list[list[str]], list[list[str]], int]:
    """Groups across splits, groups across classes, and the number of other repetitions."""
    by_content: dict[bytes, list[InspectedImage]] = defaultdict(list)
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
        if len({image.truth for image in group}) > 1:
            across_classes.append(names)
        repeated += len(group) - len({(image.split, image.truth) for image in group})
    return across_splits, across_classes, repeated


def _summarise(
    images: Sequence[InspectedImage],
    classes: Sequence[str],
    *,
    masks: bool,
    boxes: BoxCounts | None,
) -> SplitCheck:
    good = [image for image in images if not image.fault]
    occurs: Counter[int] = Counter()
    pixels: Counter[int] = Counter()
    for image in images:
        occurs.update(image.pixels.keys())
        pixels.update(image.pixels)
    named = {**dict(enumerate(classes)), IGNORED: "ignored"}
    return SplitCheck(
        images=len(images),
        classes={name: occurs[number] for number, name in enumerate(classes)},
        pixels={name: pixels[number] for number, name in named.items()} if masks else {},
        boxes=boxes.classes if boxes is not None else {},
        box_side_px=_spread(boxes.sides_px.round(1).tolist()) if boxes is not None else None,
        width_px=_spread([image.width for image in good]),
        height_px=_spread([image.height for image in good]),
        modes=dict(Counter(image.mode for image in good).most_common()),
    )


def _spread(numbers: Sequence[float]) -> Spread | None:
    if not numbers:
        return None
    return Spread(least=min(numbers), median=statistics.median(numbers), greatest=max(numbers))


def _problems(
    splits: Mapping[str, SplitCheck],
    bad: Mapping[str, str],
    across_splits: Sequence[Sequence[str]],
    across_classes: Sequence[Sequence[str]],
    masks: Sequence[MaskedFiles],
) -> list[str]:
    problems = []
    if bad:
        problems.append(f"{counted(len(bad), 'image')} cannot be read")
    if across_splits:
        problems.append(
            f"{counted(len(across_splits), 'image')} in more than one split, which makes scores"
            " too good"
        )
    if across_classes:
        classes = "in more than one class" if splits["train"].classes else "with several targets"
        boxed = bool(splits["train"].boxes)
        what = "with more than one mask" if masks else "with different boxes" if boxed else classes
        problems.append(f"{counted(len(across_classes), 'image')} {what}")
    unused = sorted({name for split in masks for name in split.unused_masks})
    if unused:
        shown = ", ".join(unused[:_NAMED]) + (", ..." if len(unused) > _NAMED else "")
        problems.append(f"{counted(len(unused), 'mask')} without an image: {shown}")
    if masks and len(splits["train"].classes) == 1:
        problems.append("all masks hold one class, and segmentation needs two")
    absent = [name for name, count in splits["train"].classes.items() if count == 0]
    if splits["train"].boxes:  # lists of categories are often longer than what is marked
        held_out = [check.classes for split, check in splits.items() if split != "train"]
        absent = [name for name in absent if any(classes[name] for classes in held_out)]
    if absent:
        problems.append(f"no training images of {_listed(absent)}")
    return problems


def _notes(
    splits: Mapping[str, SplitCheck], repeated: int, masks: Sequence[MaskedFiles]
) -> list[str]:
    notes = [f"numbers in masks mean: {masks[0].mask_classes.described()}"] if masks else []
    notes += masks[0].notes if masks else []
    if repeated:
        notes.append(f"{counted(repeated, 'file')} repeated within a split and class")
    for split, check in splits.items():
        odd = {mode: n for mode, n in check.modes.items() if mode not in _USUAL_MODES}
        if odd:
            listed = ", ".join(f"{n} of {mode}" for mode, n in odd.items())
            notes.append(f"{split} has unusual modes: {listed}")
        missing = [name for name, count in check.classes.items() if count == 0]
        if missing and (split != "train" or check.boxes):
            notes.append(f"{split} has no images of {_listed(missing)}")
    counts = splits["train"].classes
    if not counts or any(splits["train"].pixels.values()):
        return notes  # background is on every image
    rare, frequent = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if 0 < counts[rare] * _IMBALANCED <= counts[frequent]:
        notes.append(
            f"train is imbalanced: {counts[rare]} of {rare}, {counts[frequent]} of {frequent}"
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
