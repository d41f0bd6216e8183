"""Images with masks as pages of TIFF files, a stack of each.

=========================================  ===================================================
``train-volume.tif``, ``train-labels.tif``  a split; ``val`` and ``test`` likewise
``images.tif``, ``masks.tif``               one pool
=========================================  ===================================================

The mask of a page is the page of the same number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo.data.decoding import count_pages, page_name
from zoo.data.files import SPLIT_NAMES, loose_images
from zoo.data.masks._folders import Pairs, masked_splits
from zoo.data.masks._masked_files import MaskedFiles
from zoo.errors import DataError
from zoo.wording import counted

_IMAGES, _MASKS = "images", "masks"
_WORDS = {
    **dict.fromkeys(("volume", "images", "image", "imgs", "img"), _IMAGES),
    **dict.fromkeys(("labels", "label", "masks", "mask", "gt"), _MASKS),
}
_STACK = re.compile(
    rf"(?:({'|'.join(SPLIT_NAMES)})[-_])?({'|'.join(_WORDS)})\.tiff?", re.IGNORECASE
)


def holds_stacks(root: Path) -> bool:
    """Whether a folder looks like stacks of images and of masks."""
    try:
        return any(len(stacks) == 2 for stacks in _find_stacks(root).values())
    except DataError:
        return True  # it does, in a way that reading will refuse


def read_stacks(root: Path, *, channels: int) -> dict[str, MaskedFiles]:
    """The splits of stacks; a pair that is named after no split is one named "all".

    Raises:
        DataError: no two stacks that belong together, stacks of different lengths, none to train
            on, or masks whose numbers do not say what they mean.
    """
    found = _find_stacks(root)
    pairs = {
        split: _pair_pages(root, stacks[_IMAGES], stacks[_MASKS])
        for split, stacks in found.items()
        if len(stacks) == 2
    }
    if not pairs:
        raise DataError(
            f"{root} has no stacks of images and masks",
            "Looked for train-volume.tif with train-labels.tif, and images.tif with masks.tif.",
        )
    if (len(pairs) > 1 and "all" in pairs) or not pairs.keys() & {"all", "train"}:
        raise DataError(
            f"{root} has stacks of {', '.join(pairs)}",
            "Name them train, val and test, with train among them, or have one pair alone.",
        )
    notes = [
        f"{name} is left out: there is no stack of its {_MASKS if of == _IMAGES else _IMAGES}"
        for stacks in found.values()
        for of, name in stacks.items()
        if len(stacks) == 1
    ]
    splits = masked_splits(root, pairs, channels=channels)
    return {split: replace(pages, notes=notes) for split, pages in splits.items()}


def mask_stacks(root: Path) -> list[str]:
    """Names of the stacks of masks that have images beside them."""
    return [stacks[_MASKS] for stacks in _find_stacks(root).values() if len(stacks) == 2]


def _find_stacks(root: Path) -> dict[str, dict[str, str]]:
    """By split, the file of images and that of masks, or one of the two.

    Raises:
        DataError: two files for one of them.
    """
    found: dict[str, dict[str, str]] = {}
    for name in loose_images(root):
        match = _STACK.fullmatch(name)
        if match is None:
            continue
        split, of = SPLIT_NAMES.get((match[1] or "").lower(), "all"), _WORDS[match[2].lower()]
        first = found.setdefault(split, {}).setdefault(of, name)
        if first != name:
            raise DataError(
                f"{root} has {first} and {name}: which are the {of}?", "Rename one of them."
            )
    return found


def _pair_pages(root: Path, images: str, masks: str) -> Pairs:
    counts: Mapping[str, int] = {name: count_pages(root / name) for name in (images, masks)}
    if counts[images] != counts[masks]:
        raise DataError(
            f"{root / images} has {counted(counts[images], 'page')}, and {masks} has"
            f" {counts[masks]}",
            "Write a page of masks for each page of images; or is one of the files cut off?",
        )
    return Pairs(
        [(page_name(images, page), page_name(masks, page)) for page in range(counts[images])]
    )
