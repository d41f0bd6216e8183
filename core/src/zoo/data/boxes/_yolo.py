"""Boxes in text files, as of YOLO: one file for each image, named as it is.

``data.yaml`` names the classes and the folders (or lists) of images of each split; without it,
``images/`` stands beside ``labels/``, with or without splits inside or outside, or ``a.txt`` beside
``a.jpg`` and a list of classes.  A line is a class number, and x and y of the box's centre, its
width and its height, as fractions of the image's; with more numbers it is a polygon, whose box is
taken, or has keypoints after its box, where ``data.yaml`` says so.  An image without a file, or
with an empty one, has no objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.boxes._boxed_files import BoxedFiles
from zoo.data.boxes._faults import Corners, MarkedBox, MarkedImage, boxed_splits, to_number
from zoo.data.files import SPLIT_NAMES, filled_lines, find_images, split_folders, subfolders
from zoo.errors import DataError
from zoo.wording import counted

YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASS_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
_BOX = 5
"""Numbers in a line of a box, its class included."""
_NOTHING = ("", "~", "null")
"""How YAML says that there is none."""
_MOST = 2.0
"""That a number of a box near its image may be, as a fraction of the image."""


@dataclass(frozen=True)
class _Described:
    """What ``data.yaml``, or where there is none the folder, says.

    Attributes:
        names: of classes, by number; empty where nothing names them.
        images: of each split.
        keypoints: whether they follow each box.
        notes: what else a person should know.
    """

    names: Mapping[int, str]
    images: Mapping[str, Sequence[Path]]
    keypoints: bool = False
    notes: tuple[str, ...] = ()


def holds_yolo(root: Path) -> bool:
    """Whether a folder has a ``data.yaml``, or images with text files where they use to be."""
    return _find_yaml(root) is not None or bool(_pools(root))


def read_yolo(path: Path, *, channels: int) -> Mapping[str, BoxedFiles]:
    """The splits of a ``data.yaml``, or of a folder.

    Raises:
        DataError: a broken ``data.yaml``, folders that are not there, or no images.
    """
    root = path.parent if path.is_file() else path
    file = path if path.is_file() else _find_yaml(root)
    said = _read_yaml(file) if file else _Described(_listed_classes(root), _pools(root))
    found = {
        split: [_read_image(root, image, _label_file(image), said) for image in images]
        for split, images in said.images.items()
    }
    classes = list(said.names.values()) or None
    return boxed_splits(root, found, classes=classes, channels=channels, notes=said.notes)


def _find_yaml(root: Path) -> Path | None:
    """One of the usual names, or the only file of another that names classes and images."""
    usual = next((root / name for name in YAML_NAMES if (root / name).is_file()), None)
    if usual is not None:
        return usual
    files = [file for file in (*root.glob("*.yaml"), *root.glob("*.yml")) if _looks_like_yolo(file)]
    return files[0] if len(files) == 1 else None


def _looks_like_yolo(file: Path) -> bool:
    keys = {line.partition(b":")[0] for line in file.read_bytes().splitlines()}
    return {b"names", b"train"} <= keys


def _read_yaml(file: Path) -> _Described:
    """Class names by number, and the images of each split; a test split that is named may lack."""
    import yaml  # here, where there is YAML: it takes longer to load than all of zoo.data

    try:
        # Without types: a class may be called "no", "null" or "007".
        content = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("names"), list | dict):
        raise DataError(f"{file} names no classes", "It needs names: and train:.")
    names = content["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    try:
        classes = {int(number): str(name) for number, name in sorted(pairs)}
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: names must be a list, or names by number") from error
    _check_names(file, list(classes.values()))
    images, notes = {}, []
    for key, entry in content.items():
        if key not in SPLIT_NAMES or entry in _NOTHING:
            continue
        try:
            images[SPLIT_NAMES[key]] = _images_of(file, content, entry)
        except DataError as error:
            if SPLIT_NAMES[key] != "test":  # which exports name whether they have one or not
                raise
            notes.append(f"there is no test split: {error.cause}")
    return _Described(classes, images, "kpt_shape" in content, tuple(notes))


def _check_names(file: Path, names: Sequence[str]) -> None:
    """See that each class has a name of its own: boxes are known by it.

    Raises:
        DataError: naming the first that is there twice.
    """
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{file} has two classes {twice!r}", "Give each a name of its own.")


def _images_of(file: Path, content: Mapping[str, Any], entry: Any) -> list[Path]:
    """Images of a folder, of a list of images in a text file, or of several of these."""
    images: list[Path] = []
    above = str(content.get("path") or "")
    for name in entry if isinstance(entry, list) else [entry]:
        place = _resolve(file, above, str(name))
        if place.is_dir():
            images += [place / image for image in find_images(place)]
        elif lines := filled_lines(place):
            places = (place.parent, file.parent / above, file.parent)
            folder = next((of for of in places if (of / lines[0]).is_file()), place.parent)
            images += [folder / line for line in lines]
    return images


def _resolve(file: Path, above: str, name: str) -> Path:
    """A folder or list that data.yaml names; exports write ``../train`` for ``train``."""
    inside = name
    while inside.startswith("../"):
        inside = inside[3:]
    places = [file.parent / above / name, file.parent / name, file.parent / inside]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        looked = " and ".join(dict.fromkeys(map(str, places)))
        raise DataError(f"{file} names {name}, which does not exist", f"Looked for {looked}.")
    return found


def _pools(root: Path) -> dict[str, list[Path]]:
    """The images of each split where nothing but folders says so; "all" where there are none."""
    splits = split_folders(root)
    inside = {split: of for split, folder in splits.items() if (of := _images_with_labels(folder))}
    if inside:
        return {
            split: [images / name for name in find_images(images)]
            for split, images in inside.items()
        }
    images = _images_with_labels(root)
    if images is not None:
        folders = split_folders(images) or {"all": images}
    elif _listed_classes(root):
        folders = {
            split: of for split, of in (splits or {"all": root}).items() if _texts_beside(of)
        }
    else:
        folders = {}
    return {split: [of / name for name in find_images(of)] for split, of in folders.items()}


def _images_with_labels(folder: Path) -> Path | None:
    """``images/``, if ``labels/`` beside it has text files.

    Raises:
        DataError: the text files are in ``images/``, and the images in ``labels/``.
    """
    inner = {sub.name.lower(): sub for sub in subfolders(folder)}
    if not {"images", "labels"} <= inner.keys():
        return None
    images, labels = inner["images"], inner["labels"]
    if next(labels.rglob("*.txt"), None):
        return images
    if next(images.rglob("*.txt"), None) and not find_images(images):
        raise DataError(
            f"{images} holds text files and no images", f"Exchange its name with that of {labels}."
        )
    return None


def _texts_beside(folder: Path) -> bool:
    """Whether an image has a text file of its name beside it."""
    return any((folder / name).with_suffix(".txt").is_file() for name in find_images(folder))


def _listed_classes(root: Path) -> dict[int, str]:
    """Names from ``classes.txt``; nothing where there is no such file."""
    path = next((root / name for name in _CLASS_LISTS if (root / name).is_file()), None)
    if path is None:
        return {}
    names = filled_lines(path)
    _check_names(path, names)
    return dict(enumerate(names))


def _label_file(image: Path) -> Path:
    """In ``labels`` for the last ``images`` of the path, or beside the image."""
    parts = list(image.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at].lower() == "images":
            parts[at] = "labels" if parts[at] == "images" else "Labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def _read_image(root: Path, image: Path, text: Path, said: _Described) -> MarkedImage:
    name = image.relative_to(root).as_posix() if image.is_relative_to(root) else str(image)
    if not text.is_file():
        return MarkedImage(name, str(text), fractions=True)
    try:
        lines = text.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return MarkedImage(name, str(text), fault=f"{text} is not UTF-8 text: {error}")
    boxes = [
        _box(line.split()[: _BOX if said.keypoints else None], number, said.names)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    return MarkedImage(name, str(text), boxes, fractions=True)


def _box(words: Sequence[str], line: int, names: Mapping[int, str]) -> MarkedBox:
    number, *numbers = map(to_number, words)
    label = names.get(int(number), "") if number.is_integer() else ""
    if not names and number.is_integer() and number >= 0:
        label = str(int(number))
    fault = (
        "" if label else f"class {words[0]} is not in the list of {counted(len(names), 'class')}"
    )
    if math.isnan(number):
        fault = f"class {words[0]} is no number"
    corners: Corners = (math.nan,) * 4
    if len(words) == _BOX:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:  # a polygon
        across, down = numbers[0::2], numbers[1::2]
        corners = (min(across), min(down), max(across), max(down))
    else:
        fault = f"{counted(len(words), 'number')}; a box has {_BOX}: class, x, y, width, height"
    if any(_MOST < abs(corner) < math.inf for corner in corners):
        shown = " ".join(words[1:])
        fault = f"{shown} are no fractions of the image's width and height, as YOLO's are"
    return MarkedBox(corners, label, f"line {line}", fault=fault)
