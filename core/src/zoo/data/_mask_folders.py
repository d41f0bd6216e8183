"""Images with masks in folders, in the arrangements that people have.

========================================  ======================================================
``images/`` beside ``masks/``             one pool, or ``train``, ``val``, ``test`` in both
``train/images/``, ``train/masks/``, ...  splits with both folders in each
``train/`` beside ``train_masks/``, ...   splits with a folder of masks beside each
``JPEGImages/``, ``SegmentationClass/``   Pascal VOC, with the splits of ``ImageSets``
``a.jpg`` beside ``a_mask.png``           both in one folder, or in ``train``, ``val``, ``test``
========================================  ======================================================

A mask belongs to the image of its own name, or of its name without one of ``MARKS``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.data._files import find_images, loose_images, subfolders
from zoo.data._folders import size_bytes, split_folders
from zoo.data._mask_classes import read_class_names
from zoo.data._masked_files import MaskedFiles, classes_of, survey_masks
from zoo.errors import DataError

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
_MASK_FOLDERS = (
    *("masks", "mask", "segmentationclass", "segmentations", "segmentation", "labels"),
    *("annotations", "ground_truth", "groundtruth", "gt"),
)
_BESIDE = ("_masks", "_mask", "_labels", "_annotations", "_gt")
MARKS = (
    *("_mask", "-mask", "_masks", "_seg", "_segmentation", "_label", "_labels", "_gt"),
    *("_labelids", "_gtfine_labelids", "_groundtruth", "_annotation", "_l"),
)
"""What the name of a mask may have behind its image's, whatever their case."""
_IMAGE_MARKS = ("_leftimg8bit", "_image", "_img", "_sat")
_IMAGE_STARTS, _MASK_STARTS = ("image_", "img_"), ("mask_", "label_", "gt_")
_SHOWN = 3


@dataclass(frozen=True)
class _Pool:
    """Where the images and masks of a split lie, and which of the images belong to it."""

    images: Path
    masks: Path
    stems: frozenset[str] | None = None


@dataclass(frozen=True)
class Pairs:
    """Names of images and their masks ("" for none), and masks that are of no image."""

    pairs: Sequence[tuple[str, str]]
    unused: Sequence[str] = ()


def holds_masks(root: Path) -> bool:
    """Whether a folder looks like images with masks."""
    try:
        return bool(_pools(root)) or _is_flat(root)
    except DataError:
        return True  # it does, in a way that reading will refuse


def read_mask_folders(root: Path, *, channels: int) -> dict[str, MaskedFiles]:
    """The splits of images with masks; one pool is a split named "all".

    Raises:
        DataError: no images, two masks for an image, splits without a training one, or masks
            whose numbers do not say what they mean.
    """
    found = {split: _pair(root, pool) for split, pool in _pools(root).items()}
    if not found:
        found = {split: _pair_flat(root, folder) for split, folder in _flat_folders(root).items()}
    if not any(pairs.pairs for pairs in found.values()):
        raise DataError(
            f"{root} has no images with masks",
            "Looked for images/ with masks/, the same in train/ and val/, JPEGImages/ with"
            " SegmentationClass/, and a.jpg beside a_mask.png.",
        )
    if "all" not in found and "train" not in found:
        raise DataError(f"{root} has {', '.join(found)}, and no train split", "Add train images.")
    return masked_splits(root, found, channels=channels)


def masked_splits(
    root: Path, found: Mapping[str, Pairs], *, channels: int
) -> dict[str, MaskedFiles]:
    """Splits of paired files, once all masks have been looked at.

    Raises:
        DataError: of the masks' numbers.
    """
    surveys = {split: survey_masks(root, pairs.pairs) for split, pairs in found.items()}
    masks = [
        (mask, pixels)
        for split, pairs in found.items()
        for (_, mask), pixels in zip(pairs.pairs, surveys[split].pixels, strict=True)
        if pixels
    ]
    if not masks:
        faults = [fault for survey in surveys.values() for fault in survey.faults.values()]
        raise DataError(
            f"no mask of {root} can be used: {'; '.join(faults[:_SHOWN])}",
            "A mask is one page of class numbers, as large as its image, without loss: a PNG file.",
        )
    classes = classes_of(masks, read_class_names(root))
    return {
        split: MaskedFiles(
            root=root,
            names=[image for image, _ in pairs.pairs],
            sizes_bytes=[size_bytes(root / image) for image, _ in pairs.pairs],
            mask_names=[mask for _, mask in pairs.pairs],
            mask_sizes_bytes=[size_bytes(root / mask) if mask else 0 for _, mask in pairs.pairs],
            classes=classes.names,
            channels=channels,
            mask_classes=classes,
            faults=surveys[split].faults,
            pixels=surveys[split].by_class(classes),
            unused_masks=pairs.unused,
        )
        for split, pairs in found.items()
    }


# --- where the files are ---------------------------------------------------------------------


def _pools(root: Path) -> dict[str, _Pool]:
    """The folders of each split; nothing where there are no folders of masks."""
    pool = _folders_of_both(root)
    if pool is not None:
        return _voc_splits(root, pool) or _inner_splits(pool) or {"all": pool}
    inside = {split: _folders_of_both(folder) for split, folder in split_folders(root).items()}
    if any(inside.values()):
        return {split: pool for split, pool in inside.items() if pool is not None}
    return _folders_beside(root)


def _folders_of_both(folder: Path) -> _Pool | None:
    """A folder of images and one of masks in a folder.

    Raises:
        DataError: there are two that could be the masks, or the images.
    """
    inner = subfolders(folder)
    images = [sub for sub in inner if sub.name.lower() in _IMAGE_FOLDERS]
    masks = [sub for sub in inner if sub.name.lower() in _MASK_FOLDERS and find_images(sub)]
    if not images or not masks:
        return None
    for what, found in (("images", images), ("masks", masks)):
        if len(found) > 1:
            names = " and ".join(sub.name for sub in found)
            raise DataError(f"{folder} has {names}: which are the {what}?", "Rename one of them.")
    return _Pool(images[0], masks[0])


def _inner_splits(pool: _Pool) -> dict[str, _Pool]:
    images, masks = split_folders(pool.images), split_folders(pool.masks)
    if not images:
        return {}
    return {
        split: _Pool(folder, masks.get(split, pool.masks / folder.name))
        for split, folder in images.items()
    }


def _voc_splits(root: Path, pool: _Pool) -> dict[str, _Pool]:
    """The lists of Pascal VOC, where they are."""
    lists = root / "ImageSets" / "Segmentation"
    splits = {}
    for split in ("train", "val", "test"):
        path = lists / f"{split}.txt"
        if path.is_file():
            stems = frozenset(path.read_text(encoding="utf-8").split())
            splits[split] = _Pool(pool.images, pool.masks, stems)
    return splits


def _folders_beside(root: Path) -> dict[str, _Pool]:
    inner = {sub.name.lower(): sub for sub in subfolders(root)}
    splits = {}
    for split, folder in split_folders(root).items():
        names = (folder.name.lower() + ending for ending in _BESIDE)
        beside = next((inner[name] for name in names if name in inner), None)
        if beside is not None:
            splits[split] = _Pool(folder, beside)
    return splits


def _flat_folders(root: Path) -> dict[str, Path]:
    return split_folders(root) or {"all": root}


def _is_flat(root: Path) -> bool:
    folders = _flat_folders(root).values()
    return any(mask for folder in folders for _, mask in _pair_flat(root, folder).pairs)


# --- which mask is whose ---------------------------------------------------------------------


def _pair(root: Path, pool: _Pool) -> Pairs:
    images = [name for name in find_images(pool.images) if _is_listed(name, pool.stems)]
    masks = find_images(pool.masks) if pool.masks.is_dir() else []
    pairs, used = _match(images, masks)
    unused = [] if pool.stems is not None else [name for name in masks if name not in used]
    return Pairs(
        [
            (_relative(root, pool.images / image), mask and _relative(root, pool.masks / mask))
            for image, mask in pairs
        ],
        [_relative(root, pool.masks / name) for name in unused],
    )


def _pair_flat(root: Path, folder: Path) -> Pairs:
    """Images and masks that lie in one folder: a mask is what has an image's name and a mark."""
    files = loose_images(folder)
    stems = {_stem(name) for name in files}
    masks = [name for name in files if _without(_stem(name), MARKS, ()) in stems - {_stem(name)}]
    pairs, _ = _match([name for name in files if name not in {*masks}], masks)
    return Pairs(
        [
            (_relative(root, folder / image), mask and _relative(root, folder / mask))
            for image, mask in pairs
        ]
    )


def _match(
    images: Sequence[str], masks: Sequence[str]
) -> tuple[list[tuple[str, str]], frozenset[str]]:
    """Each image's mask ("" for none), and the masks that were taken.

    Raises:
        DataError: two masks for an image, or two images for a mask.
    """
    exact, marked = _by_key(masks, _stem), _by_key(masks, _mask_key)
    owner: dict[str, str] = {}
    pairs = []
    for image in images:
        keys = dict.fromkeys((_stem(image), _image_key(image)))
        found = exact.get(_stem(image)) or next((marked[k] for k in keys if k in marked), [])
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


def _stem(name: str) -> str:
    """The relative name without its suffix."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _mask_key(name: str) -> str:
    return _without(_stem(name), MARKS, _MASK_STARTS)


def _image_key(name: str) -> str:
    return _without(_stem(name), _IMAGE_MARKS, _IMAGE_STARTS)


def _without(stem: str, endings: Sequence[str], starts: Sequence[str]) -> str:
    """The stem without the longest mark at its end, or one at the beginning of its last part."""
    folder, slash, name = stem.rpartition("/")
    for ending in sorted(endings, key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return f"{folder}{slash}{name[: -len(ending)]}"
    for start in starts:
        if name.lower().startswith(start) and len(name) > len(start):
            return f"{folder}{slash}{name[len(start) :]}"
    return stem


def _is_listed(name: str, stems: frozenset[str] | None) -> bool:
    return stems is None or _stem(name) in stems


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
