"""Boxes in text files, as of YOLO: one file for each image, named as it is.

``data.yaml`` names the classes and the folders (or lists) of images of each split; without it,
``images/`` stands beside ``labels/``, with or without splits inside or outside.  A line is a class
number, and x and y of the box's centre, its width and its height, as fractions of the image's; with
more numbers it is a polygon, whose box is taken.  An image without a file, or with an empty one,
has no objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def holds_yolo(root: Path) -> bool:
    """Whether a folder has a ``data.yaml``, or ``images/`` beside ``labels/`` of text files."""
    return _find_yaml(root) is not None or bool(_pools(root))


def read_yolo(path: Path, *, channels: int) -> Mapping[str, BoxedFiles]:
    """The splits of a ``data.yaml``, or of a folder.

    Raises:
        DataError: a broken ``data.yaml``, folders that are not there, or no images.
    """
    root = path.parent if path.is_file() else path
    file = path if path.is_file() else _find_yaml(root)
    if file is None:
        names, images = _listed_classes(root), _pools(root)
    else:
        names, images = _read_yaml(file)
    labels = {split: [(image, _label_file(image)) for image in of] for split, of in images.items()}
    found = {
        split: [_read_image(root, image, text, names) for image, text in pairs]
        for split, pairs in labels.items()
    }
    classes = list(names.values()) or None
    return boxed_splits(root, found, classes=classes, channels=channels)


def _find_yaml(root: Path) -> Path | None:
    return next((root / name for name in YAML_NAMES if (root / name).is_file()), None)


def _read_yaml(file: Path) -> tuple[dict[int, str], dict[str, list[Path]]]:
    """Class names by number, and the images of each split."""
    import yaml  # here, where there is YAML: it takes longer to load than all of zoo.data

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
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
    images = {
        SPLIT_NAMES[split]: _images_of(file, content, entry)
        for split, entry in content.items()
        if split in SPLIT_NAMES and entry
    }
    return classes, images


def _images_of(file: Path, content: Mapping[str, Any], entry: Any) -> list[Path]:
    """Images of a folder, of a list of images in a text file, or of several of these."""
    images: list[Path] = []
    for name in entry if isinstance(entry, list) else [entry]:
        place = _resolve(file, str(content.get("path") or ""), str(name))
        if place.is_dir():
            images += [place / image for image in find_images(place)]
        else:
            images += [place.parent / line for line in filled_lines(place)]
    return images


def _resolve(file: Path, above: str, name: str) -> Path:
    """A folder or list that data.yaml names; exports write ``../train`` for ``train``."""
    inside = name
    while inside.startswith("../"):
        inside = inside[3:]
    places = [file.parent / above / name, file.parent / name, file.parent / inside]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise DataError(
            f"{file} names {name}, which does not exist", f"Looked for {places[0]} and {places[1]}."
        )
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
    if images is None:
        return {}
    folders = split_folders(images) or {"all": images}
    return {split: [of / name for name in find_images(of)] for split, of in folders.items()}


def _images_with_labels(folder: Path) -> Path | None:
    """``images/``, if ``labels/`` beside it has text files."""
    inner = {sub.name.lower(): sub for sub in subfolders(folder)}
    if not {"images", "labels"} <= inner.keys():
        return None
    return inner["images"] if next(inner["labels"].rglob("*.txt"), None) else None


def _listed_classes(root: Path) -> dict[int, str]:
    """Names from ``classes.txt``; nothing where there is no such file."""
    path = next((root / name for name in _CLASS_LISTS if (root / name).is_file()), None)
    return {} if path is None else dict(enumerate(filled_lines(path)))


def _label_file(image: Path) -> Path:
    """In ``labels`` for the last ``images`` of the path, or beside the image."""
    parts = list(image.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at].lower() == "images":
            parts[at] = "labels" if parts[at] == "images" else "Labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def _read_image(root: Path, image: Path, text: Path, names: Mapping[int, str]) -> MarkedImage:
    name = image.relative_to(root).as_posix() if image.is_relative_to(root) else str(image)
    if not text.is_file():
        return MarkedImage(name, str(text), fractions=True)
    try:
        lines = text.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return MarkedImage(name, str(text), fault=f"{text} is not UTF-8 text: {error}")
    boxes = [
        _box(line.split(), number, names)
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
    polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
    corners: Corners = (math.nan,) * 4
    if len(words) == _BOX:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif polygon:
        across, down = numbers[0::2], numbers[1::2]
        corners = (min(across), min(down), max(across), max(down))
    else:
        fault = f"{counted(len(words), 'number')}; a box has {_BOX}: class, x, y, width, height"
    return MarkedBox(corners, label, f"line {line}", fault=fault)
