"""Which mask is which image's, by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from zoo.errors import DataError

MARKS = (
    *("_mask", "-mask", "_masks", "_seg", "_segmentation", "_label", "_labels", "_gt"),
    *("_labelids", "_gtfine_labelids", "_groundtruth", "_annotation", "_l"),
)
"""What the name of a mask may have behind its image's, whatever their case."""
_IMAGE_MARKS = ("_leftimg8bit", "_image", "_img", "_sat")
_IMAGE_STARTS, _MASK_STARTS = ("image_", "img_"), ("mask_", "label_", "gt_")
_SHOWN = 3


def match_masks(
    images: Sequence[str], masks: Sequence[str]
) -> tuple[list[tuple[str, str]], frozenset[str]]:
    """Each image's mask ("" for none), and the masks that were taken.

    Raises:
        DataError: two masks for an image, or two images for a mask.
    """
    exact, marked = _by_key(masks, stem_of), _by_key(masks, _mask_key)
    owner: dict[str, str] = {}
    pairs = []
    for image in images:
        keys = dict.fromkeys((stem_of(image), _image_key(image)))
        found = exact.get(stem_of(image)) or next((marked[k] for k in keys if k in marked), [])
        if len(found) > 1:
            raise DataError(
                f"{image} has {len(found)} masks: {', '.join(sorted(found)[:_SHOWN])}",
                "Leave one mask for each image.",
            )
        mask = found[0] if found else ""
        if mask and owner.setdefault(mask, image) != image:
            raise DataError(
                f"{owner[mask]} and {image} have one mask, {mask}", "Rename one of the images."
            )
        pairs.append((image, mask))
    return pairs, frozenset(owner)


def _by_key(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[key(name)].append(name)
    return dict(found)


def stem_of(name: str) -> str:
    """The relative name without its suffix."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _mask_key(name: str) -> str:
    return without_mark(stem_of(name), MARKS, _MASK_STARTS)


def _image_key(name: str) -> str:
    return without_mark(stem_of(name), _IMAGE_MARKS, _IMAGE_STARTS)


def without_mark(stem: str, endings: Sequence[str], starts: Sequence[str]) -> str:
    """The stem without the longest mark at its end, or one at the beginning of its last part."""
    folder, slash, name = stem.rpartition("/")
    for ending in sorted(endings, key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return f"{folder}{slash}{name[: -len(ending)]}"
    for start in starts:
        if name.lower().startswith(start) and len(name) > len(start):
            return f"{folder}{slash}{name[len(start) :]}"
    return stem
