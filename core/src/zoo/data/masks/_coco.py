"""Masks drawn from the segmentations of COCO's JSON files, layout ``coco-masks``.

- Classes are ``background`` and then the categories, in the order of their ids.
- Where objects overlap, the smaller one is on top: most often it is the one in front (a tie before
  a shirt).  Of two equally large ones, the later in the file is.
- A region of ``iscrowd`` counts nowhere (``IGNORED``), under the same rule.
- A segmentation is a list of polygons, or runs in either of COCO's two forms.

Opening keeps each segmentation as compressed runs and counts pixels; a mask is drawn when it is
loaded.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.decoding import upright_size
from zoo.data.files import CocoFile, CocoImage, read_coco_files, size_bytes, training_file
from zoo.data.masks._classes import MaskClasses
from zoo.data.masks._masked_files import MaskedFiles, survey
from zoo.errors import DataError
from zoo.structures import IGNORED, Sample

_ROUNDING_PX = 1.0
"""That a polygon may reach out of its image, as a box may."""
_RUNS = re.compile(rb"[0-o]*[0-O]")
"""Compressed runs: characters of six bits, of which the last one says that nothing follows."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """The pixels of an object.

    Attributes:
        number: of its class, or ``IGNORED``.
        runs: of its pixels, as COCO compresses them.
        area_px: how many these are.
    """

    number: int
    runs: bytes
    area_px: int


@dataclass(frozen=True)
class DrawnImage:
    """Height and width of an image, and its regions in the order in which they are drawn."""

    size: Size
    regions: Sequence[Region] = ()

    def mask(self) -> NDArray[np.uint8]:
        """(h, w) class numbers."""
        from faster_coco_eval import mask

        drawn = np.zeros(self.size, dtype=np.uint8)
        for region in self.regions:
            inside = mask.decode({"size": list(self.size), "counts": region.runs})
            drawn[inside.view(np.bool_)] = region.number
        return drawn

    def digest(self) -> str:
        """A short hash of all regions."""
        digest = hashlib.sha256(repr(self.size).encode())
        for region in self.regions:
            digest.update(b"%d %s\n" % (region.number, region.runs))
        return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class CocoMasks(MaskedFiles):
    """Images by path, with masks drawn from a COCO file, which ``mask_names`` name.

    Attributes:
        drawn: what is drawn for each image.
    """

    drawn: Sequence[DrawnImage]

    def load(self, index: int) -> Sample:
        """Decode one image and draw its mask, (h, w) uint8 of class numbers."""
        fault = self.faults.get(self.names[index])
        if fault:
            raise DataError(fault, "See all with `zoo data check`.")
        image = self.image(index)
        return Sample(image, {"masks": torch.from_numpy(self.drawn[index].mask())})

    def truths(self) -> list[str]:
        """A short hash of what is drawn for each image."""
        return [drawn.digest() for drawn in self.drawn]

    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""
        chosen = [int(index) for index in chosen]
        return replace(super().only(chosen), drawn=[self.drawn[index] for index in chosen])


def read_coco_masks(path: Path, *, channels: int) -> dict[str, CocoMasks]:
    """The splits of COCO's JSON files in a folder, or the one of a file.

    Raises:
        DataError: no such file, or one that is broken or lacks its lists; no training split; no
            categories or too many; boxes alone.
    """
    files = read_coco_files(path)
    if not files.keys() & {"all", "train"}:
        raise DataError(f"{path} has {', '.join(files)}, and no train split", "Add train images.")
    names = tuple(dict.fromkeys(("background", *training_file(files).categories().values())))
    if not 1 < len(names) <= IGNORED:
        raise DataError(
            f"{training_file(files).path} has {len(names) - 1} categories",
            f"Masks can show 1 to {IGNORED - 1}.",
        )
    return {split: _read_split(file, names, channels) for split, file in files.items()}


def _read_split(file: CocoFile, names: tuple[str, ...], channels: int) -> CocoMasks:
    images = list(file.images())
    annotations = [annotation for image in images for _, annotation in image.annotations]
    if annotations and not any(of.get("segmentation") for of in annotations):
        raise DataError(
            f"{file.path} has no segmentation in any annotation, only boxes",
            "Learn boxes from it (coco:PATH, with a detector), or write polygons or runs into"
            ' each annotation\'s "segmentation".',
        )
    numbers = {key: names.index(n) for key, n in file.categories().items() if n in names}
    kept: dict[int, DrawnImage] = {}

    def read(index: int) -> NDArray[np.uint8]:
        kept[index] = _regions(file, images[index], numbers)
        return kept[index].mask()

    found = survey([image.name for image in images], read)
    # Every number of a mask that is drawn here is a class's.
    classes = MaskClasses(names, {**{n: n for n in range(len(names))}, IGNORED: IGNORED})
    inside = file.path.is_relative_to(file.root)
    mask_name = file.path.relative_to(file.root).as_posix() if inside else str(file.path)
    return CocoMasks(
        root=file.root,
        names=[image.name for image in images],
        sizes_bytes=[size_bytes(file.root / image.name) for image in images],
        mask_names=[mask_name] * len(images),
        mask_sizes_bytes=[size_bytes(file.path)] * len(images),
        classes=names,
        channels=channels,
        mask_classes=classes,
        faults=found.faults,
        pixels=found.by_class(classes),
        drawn=[kept.get(index, DrawnImage((0, 0))) for index in range(len(images))],
    )


def _regions(file: CocoFile, image: CocoImage, numbers: Mapping[int, int]) -> DrawnImage:
    """The regions of an image, the largest first."""
    path = file.root / image.name
    size = upright_size(path)
    if image.size not in (None, (0, 0), size):
        stated, own = (f"{width} x {height}" for height, width in (image.size or size, size))
        raise DataError(f"{path} is {own} px, and {file.path} says {stated}")
    regions = [
        _region(annotation, f"{file.path}, {place}", size, numbers)
        for place, annotation in image.annotations
    ]
    return DrawnImage(size, sorted(regions, key=lambda region: -region.area_px))


def _region(
    annotation: Mapping[str, Any], place: str, size: Size, numbers: Mapping[int, int]
) -> Region:
    from faster_coco_eval import mask

    category = annotation.get("category_id")
    if not isinstance(category, int) or category not in numbers:
        raise DataError(f"{place}: category {category} is not among the categories of training")
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise DataError(f"{place} has no segmentation")
    runs = (
        _runs(segmentation, place, size)
        if isinstance(segmentation, Mapping)
        else _runs_of_polygons(segmentation, place, size)
    )
    number = IGNORED if annotation.get("iscrowd") else numbers[category]
    return Region(number, runs["counts"], int(mask.area(runs)))


def _runs_of_polygons(polygons: object, place: str, size: Size) -> Any:
    """Of a list of polygons, each a list of x, y, x, y, ... in px."""
    from faster_coco_eval import mask

    height, width = size
    corners = polygons if isinstance(polygons, list) else [polygons]
    for polygon in corners:
        # The library takes four numbers for a box, and an endless one for endless work.
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise DataError(f"{place}: a polygon is not three or more pairs of x and y")
        if not all(isinstance(of, int | float) and math.isfinite(of) for of in polygon):
            raise DataError(f"{place}: a polygon is not made of numbers")
        out = max(-min(polygon), max(polygon[::2]) - width, max(polygon[1::2]) - height)
        if out > _ROUNDING_PX:
            raise DataError(
                f"{place}: a polygon reaches {out:g} px out of the image, {width} x {height} px"
            )
    return mask.merge(mask.frPyObjects(corners, height, width))


def _runs(segmentation: Mapping[str, Any], place: str, size: Size) -> Any:
    """Of runs, which go down the columns: a list of their lengths, or those compressed."""
    from faster_coco_eval import mask

    height, width = size
    if segmentation.get("size") != [height, width]:
        raise DataError(
            f"{place}: its runs have the size {segmentation.get('size')}, and the image is"
            f" {height} high and {width} wide"
        )
    counts = segmentation.get("counts")
    unlike = DataError(f"{place}: its runs do not add up to the {height * width} px of the image")
    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts):
            raise DataError(f"{place}: its runs are not made of numbers from 0 on")
        if sum(counts) != height * width:
            raise unlike
        return mask.frPyObjects(dict(segmentation), height, width)
    text = counts.encode() if isinstance(counts, str) else b""
    if not _RUNS.fullmatch(text):
        raise DataError(f"{place}: its runs are neither a list nor compressed")
    if _fits(text, height * width - 1) or not _fits(text, height * width):
        raise unlike
    return {"size": [height, width], "counts": text}


def _fits(runs: bytes, pixels: int) -> bool:
    """Whether compressed runs have so many pixels or fewer; more is refused."""
    from faster_coco_eval import mask

    try:
        mask.decode({"size": [pixels, 1], "counts": runs})
    except (ValueError, RuntimeError):
        return False
    return True
