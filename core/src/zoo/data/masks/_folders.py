"""Images with masks in folders, in the arrangements that people have.

========================================  ======================================================
``images/`` beside ``masks/``             one pool, or ``train``, ``val``, ``test`` in both
``train/images/``, ``train/masks/``, ...  splits with both folders in each
``train/`` beside ``train_masks/``, ...   splits with a folder of masks beside each
``JPEGImages/``, ``SegmentationClass/``   Pascal VOC, with the splits of ``ImageSets``
``images/`` beside ``masks/CLASS/``       a folder of masks for each class
``a.jpg`` beside ``a_mask.png``           both in one folder, or in ``train``, ``val``, ``test``
========================================  ======================================================

A mask belongs to the image of its own name, or of its name without one of ``MARKS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.files import find_images, loose_images, size_bytes, split_folders, subfolders
from zoo.data.masks._by_class import mask_size_bytes, merged_mask, merged_names
from zoo.data.masks._classes import MaskClasses, read_class_names
from zoo.data.masks._masked_files import MaskedFiles, classes_of, survey_masks
from zoo.data.masks._names import MARKS, match_masks, stem_of, without_mark
from zoo.errors import DataError
from zoo.structures import IGNORED

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
_MASK_FOLDERS = (
    *("masks", "mask", "segmentationclass", "segmentations", "segmentation", "labels"),
    *("label", "annotations", "annotation", "ground_truth", "groundtruth", "gt"),
)
_BESIDE = ("_masks", "_mask", "_labels", "_annotations", "_gt")
_LOSSLESS = (".png", ".tif", ".tiff", ".bmp", ".gif")
_SHOWN = 3


@dataclass(frozen=True)
class _Pool:
    """Where the images and masks of a split lie, and which of the images belong to it."""

    images: Path
    masks: Path
    stems: frozenset[str] | None = None


@dataclass(frozen=True)
class Pairs:
    """Names of images and their masks ("" for none), and masks that are of no image.

    ``class_names`` are of class folders, where masks have a file for each class.
    """

    pairs: Sequence[tuple[str, str]]
    unused: Sequence[str] = ()
    class_names: tuple[str, ...] = ()


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


def mask_files(root: Path) -> list[str]:
    """Names of the masks that lie in a folder beside their images, whether or not they fit.

    Raises:
        DataError: there are two folders that could be the masks, or the images.
    """
    folders = {pool.masks for pool in _pools(root).values()}
    if not folders:
        flat = (_pair_flat(root, folder).pairs for folder in _flat_folders(root).values())
        # A JPEG is none: in "shoe_l.jpg" beside "shoe.jpg" the letter says something else.
        return [mask for pairs in flat for _, mask in pairs if mask.lower().endswith(_LOSSLESS)]
    # Pascal VOC numbers the objects, too.
    folders |= {sub for sub in subfolders(root) if sub.name.lower() == "segmentationobject"}
    return [
        _relative(root, folder / name)
        for folder in folders
        if folder.is_dir()
        for name in find_images(folder)
    ]


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
    classes = _classes_of_folders(root, found) or classes_of(masks, read_class_names(root))
    return {
        split: MaskedFiles(
            root=root,
            names=[image for image, _ in pairs.pairs],
            sizes_bytes=[size_bytes(root / image) for image, _ in pairs.pairs],
            mask_names=[mask for _, mask in pairs.pairs],
            mask_sizes_bytes=[
                mask_size_bytes(root / mask) if mask else 0 for _, mask in pairs.pairs
            ],
            classes=classes.names,
            channels=channels,
            mask_classes=classes,
            faults=surveys[split].faults,
            pixels=surveys[split].by_class(classes),
            unused_masks=pairs.unused,
        )
        for split, pairs in found.items()
    }


def _classes_of_folders(root: Path, found: Mapping[str, Pairs]) -> MaskClasses | None:
    """Of masks with a file for each class: the background and their folders."""
    first, *others = {pairs.class_names: split for split, pairs in found.items()}
    if others:
        words = " and ".join(", ".join(names) or "none" for names in (first, *others))
        raise DataError(
            f"the splits of {root} have masks in different class folders: {words}",
            "Give each split the same class folders, be they empty.",
        )
    if len(first) >= IGNORED:
        raise DataError(f"{root} has {len(first)} folders of masks", f"{IGNORED - 1} can be.")
    folders = ("background", *first)
    names = tuple(dict.fromkeys(folders))  # there may be a folder of the background
    numbers = {number: names.index(folder) for number, folder in enumerate(folders)}
    return MaskClasses(names, numbers) if first else None


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
    images = [sub for sub in inner if sub.name.lower() in _IMAGE_FOLDERS and find_images(sub)]
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
    pairs, used = match_masks(images, masks)
    class_names: tuple[str, ...] = ()
    if not used:
        merged, taken = match_masks(images, merged_names(masks))
        if taken:
            class_names = tuple(folder.name for folder in subfolders(pool.masks))
            pairs = [(image, mask and merged_mask(mask)) for image, mask in merged]
            used = frozenset(name for name in masks if name.partition("/")[2] in taken)
    unused = [] if pool.stems is not None else [name for name in masks if name not in used]
    return Pairs(
        [
            (_relative(root, pool.images / image), mask and _relative(root, pool.masks / mask))
            for image, mask in pairs
        ],
        [_relative(root, pool.masks / name) for name in unused],
        class_names,
    )


def _pair_flat(root: Path, folder: Path) -> Pairs:
    """Images and masks that lie in one folder: a mask is what has an image's name and a mark."""
    files = loose_images(folder)
    stems = {stem_of(name) for name in files}
    masks = [
        name for name in files if without_mark(stem_of(name), MARKS, ()) in stems - {stem_of(name)}
    ]
    pairs, _ = match_masks([name for name in files if name not in {*masks}], masks)
    return Pairs(
        [
            (_relative(root, folder / image), mask and _relative(root, folder / mask))
            for image, mask in pairs
        ]
    )


def _is_listed(name: str, stems: frozenset[str] | None) -> bool:
    return stems is None or stem_of(name) in stems


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
