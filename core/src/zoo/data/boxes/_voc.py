"""Boxes in XML files, as of Pascal VOC: one file for each image.

=============================================  ================================================
``Annotations/``, ``JPEGImages/``              the lists of ``ImageSets/Main`` are the splits;
                                               without lists, all are one split
``train/Annotations/``, ``train/JPEGImages/``  splits with both folders in each
``a.xml`` beside ``a.jpg``                     in one folder, or in ``train``, ``val``, ``test``
=============================================  ================================================

Pascal VOC counts pixels from 1, and a box holds its last one: x1 = xmin - 1, x2 = xmax.  Other
programs count from 0, and nothing is subtracted.  Boxes at the upper and left border tell the two
apart, as those of an image begin at the first number: where at least as many boxes begin at 0 as at
1, and some do, the data count from 0.  A slip or two in thousands of boxes decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._faults import (
    Corners,
    MarkedBox,
    MarkedImage,
    boxed_splits,
    stated_size,
    to_number,
)
from zoo.data.decoding import IMAGE_SUFFIXES
from zoo.data.files import filled_lines, find_images, natural_key, split_folders, subfolders
from zoo.errors import DataError

_IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def holds_voc(root: Path) -> bool:
    """Whether a folder looks like images with boxes in XML files."""
    return any(
        images.name.lower() == "jpegimages" or any(xml.glob("*.xml"))
        for xml, images in _pools(root).values()
    )


def read_voc(root: Path, *, channels: int) -> Mapping[str, BoxedFiles]:
    """The splits of images with XML files.

    Raises:
        DataError: no such files, or a list that names no image.
    """
    pools = _pools(root)
    if not pools:
        raise DataError(
            f"{root} has no boxes in XML files",
            "Looked for Annotations/ with JPEGImages/, and for a.xml beside a.jpg.",
        )
    found: dict[str, list[MarkedImage]] = {}
    for split, (xml, images) in pools.items():
        found |= _read_pool(root, split, xml, images)
    first, note = _first_pixel(box for of in found.values() for image in of for box in image.boxes)
    if first == 1:
        found = {split: [_from_one(image) for image in of] for split, of in found.items()}
    return boxed_splits(root, found, classes=None, channels=channels, notes=(note,))


def _pools(root: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of XML files and of images, by split; "all" where they are not divided."""
    if pool := _folders_of_both(root):
        return {"all": pool}
    splits = split_folders(root)
    if inside := {split: pool for split, of in splits.items() if (pool := _folders_of_both(of))}:
        return inside
    return {
        split: (folder, folder)
        for split, folder in (splits or {"all": root}).items()
        if any(folder.glob("*.xml"))
    }


def _folders_of_both(folder: Path) -> tuple[Path, Path] | None:
    """A folder of XML files, or one with ``xmls`` in it, beside one of images."""
    inner = {sub.name.lower(): sub for sub in subfolders(folder)}
    images = next((inner[name] for name in _IMAGE_FOLDERS if name in inner), None)
    if "annotations" not in inner or images is None:
        return None
    xmls = inner["annotations"] / "xmls"  # of the Oxford pets
    return (xmls if xmls.is_dir() else inner["annotations"]), images


def _read_pool(
    root: Path, split: str, annotations: Path, images: Path
) -> dict[str, list[MarkedImage]]:
    """The images of a pool by split."""
    files = {
        PurePosixPath(name).with_suffix("").as_posix(): images / name
        for name in find_images(images)
    }
    lists = _read_lists(root / "ImageSets" / "Main", files) if split == "all" else {}
    if not lists:
        with_xml = (path.stem for path in annotations.glob("*.xml"))
        lists = {split: sorted({*files, *with_xml}, key=natural_key)}
    return {
        name: [_read_image(root, stem, annotations, images, files) for stem in stems]
        for name, stems in lists.items()
    }


def _read_lists(folder: Path, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Names of images by split; "trainval" is the training split of data without another one."""
    lists = {}
    for split in ("train", "val", "test", "trainval"):
        path = folder / f"{split}.txt"
        if path.is_file():
            lists[split] = [_listed(line, files) for line in filled_lines(path)]
    together = lists.pop("trainval", None)
    if together and "train" not in lists:
        lists["train"] = together
    if "train" not in lists:
        return {}
    return {split: stems for split, stems in lists.items() if stems}


def _listed(line: str, files: Mapping[str, Path]) -> str:
    """The image of a line: its name, or its file, and perhaps a number after it."""
    for name in (line, line.split(maxsplit=1)[0]):
        path = PurePosixPath(name)
        plain = path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path
        found = next((of for of in (name, str(plain), plain.name) if of in files), None)
        if found is not None:
            return found
    return line.split(maxsplit=1)[0]


def _read_image(
    root: Path, stem: str, annotations: Path, images: Path, files: Mapping[str, Path]
) -> MarkedImage:
    path = annotations / f"{stem}.xml"
    name = files.get(stem, images / f"{stem}.jpg").relative_to(root).as_posix()
    if not path.is_file():
        return MarkedImage(name, str(path), fault=f"{root / name} has no annotation, {path}")
    try:
        tree = ET.parse(path).getroot()  # noqa: S314 (expat bounds what entities become)
    except (ET.ParseError, OSError, ValueError) as error:
        empty = path.stat().st_size == 0
        what = "is empty" if empty else f"is no XML: {error}"
        return MarkedImage(name, str(path), fault=f"{path} {what}")
    _forget_namespaces(tree)
    if tree.tag != "annotation" and tree.find("object") is None:
        fault = f"{path} is no annotation of objects, but <{tree.tag}>"
        return MarkedImage(name, str(path), fault=fault)
    return MarkedImage(
        name,
        str(path),
        boxes=[_box(element, number) for number, element in enumerate(tree.findall("object"))],
        size=stated_size(tree.findtext("size/height", ""), tree.findtext("size/width", "")),
    )


def _forget_namespaces(tree: ET.Element) -> None:
    """Name elements as they are written: ``{http://...}object`` becomes ``object``."""
    for element in tree.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]


def _box(element: ET.Element, number: int) -> MarkedBox:
    x1, y1, x2, y2 = (to_number(element.findtext(f"bndbox/{name}", "")) for name in _CORNERS)
    return MarkedBox(
        (x1, y1, x2, y2),
        (element.findtext("name") or "").strip(),
        f"object {number}",
        difficult=(element.findtext("difficult") or "0").strip() == "1",
    )


def _first_pixel(boxes: Iterable[MarkedBox]) -> tuple[int, str]:
    """The number of the first pixel, 0 or 1, and a note that says how it is known."""
    begins = Counter(
        0 if 0 in box.corners[:2] else 1 for box in boxes if {0, 1} & {*box.corners[:2]}
    )
    first = 0 if begins[0] and begins[0] >= begins[1] else 1
    told = f": {begins[0]} begin at 0, and {begins[1]} at 1" if begins[0] else ""
    return first, f"boxes count pixels from {first}{told}"


def _from_one(image: MarkedImage) -> MarkedImage:
    """Corners that were counted from 1, from 0."""
    boxes: Sequence[MarkedBox] = [
        replace(box, corners=_begin_before(box.corners)) for box in image.boxes
    ]
    return replace(image, boxes=boxes)


def _begin_before(corners: Corners) -> Corners:
    x1, y1, x2, y2 = corners
    return x1 - 1, y1 - 1, x2, y2
