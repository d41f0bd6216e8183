"""COCO's JSON files: one file for each split.

=============================================  ================================================
``annotations/instances_train2017.json``       images in ``train2017/`` or ``images/train2017/``
``train/_annotations.coco.json``               images beside it
``labels.json``                                images beside it or in ``images/`` or ``data/``;
                                               one file is one split, and several are told apart
                                               by the words train, val and test in their names
=============================================  ================================================

Category ids may have gaps: classes are in the order of the ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.files._search import subfolders
from zoo.data.files._split_folders import SPLIT_NAMES, split_folders
from zoo.errors import DataError

_LISTS = ("images", "annotations", "categories")
_SHOWN = 5
_SNIFFED = 4096
"""Bytes in which a JSON file shows that it is COCO's."""
_IMAGE_FOLDERS = ("images", "data")


@dataclass(frozen=True)
class CocoImage:
    """An image of a file.

    Attributes:
        name: of the image's file, relative to the root; absolute where it lies elsewhere.
        size: height and width as the file states them, if it does.
        annotations: of the image, in the file's order, each with its place in the file
            ("annotation 3 (id 17)").
    """

    name: str
    size: tuple[int, int] | None
    annotations: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class CocoFile:
    """The file of a split.

    Attributes:
        root: that images are named relative to.
        path: of the file.
        content: of the file, with its lists.
    """

    root: Path
    path: Path
    content: Mapping[str, Any]

    def categories(self) -> dict[int, str]:
        """Names by id, in the order of the ids.

        Raises:
            DataError: two categories of one id or name, or one without.
        """
        found: dict[int, str] = {}
        for number, category in enumerate(self.content["categories"]):
            place = f"{self.path}, category {number}"
            try:
                key, name = int(category["id"]), str(category["name"])
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{place} has no id and name") from error
            if key in found or name in found.values():
                raise DataError(f"{place}: id {key} or name {name!r} is there twice")
            found[key] = name
        return dict(sorted(found.items()))

    def images(self) -> Iterator[CocoImage]:
        """Images in the file's order, each with its annotations in the file's order.

        Raises:
            DataError: an image without id or name, two of one id, an annotation of none.
        """
        images = self.content["images"]
        found: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
        for number, image in enumerate(images):
            if not isinstance(image, dict) or "id" not in image or not image.get("file_name"):
                raise DataError(f"{self.path}, image {number} has no id and file_name")
            key = identity(image["id"])
            if key in found:
                raise DataError(f"{self.path}, image {number}: id {key} is there twice")
            found[key] = []
        for number, annotation in enumerate(self.content["annotations"]):
            if not isinstance(annotation, dict):
                raise DataError(f"{self.path}, annotation {number} is {annotation!r}")
            owner = identity(annotation.get("image_id"))
            if owner not in found:
                raise DataError(
                    f"{self.path}, annotation {number} is of image {owner}, which is not among"
                    " its images",
                    "Remove it, or add the image.",
                )
            found[owner].append((f"annotation {number} (id {annotation.get('id')})", annotation))
        folder = _image_folder(self.root, self.path, [_file_name(of) for of in images[:1]])
        for image in images:
            path = folder / _file_name(image)
            inside = path.is_relative_to(self.root)
            name = path.relative_to(self.root).as_posix() if inside else str(path)
            yield CocoImage(name, _size(image), found[identity(image["id"])])


def identity(value: object) -> object:
    """An id as one file means it: exporters write 7, 7.0 and "7"."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and str(int(value)) == value else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else str(value)


def holds_coco(root: Path) -> bool:
    """Whether a folder has COCO's JSON files where they use to be."""
    return bool(_find_files(root))


def read_coco_files(path: Path) -> dict[str, CocoFile]:
    """The file of each split in a folder, or the one that is named; its split is "all".

    Raises:
        DataError: no such file, or one that is broken or lacks its lists.
    """
    files = {"all": path} if path.is_file() else _find_files(path)
    if not files:
        raise DataError(
            f"{path} has no COCO file",
            "Looked for annotations/*.json, train/_annotations.coco.json and for one .json file"
            " beside its images; you may name a file.",
        )
    root = path.parent if path.is_file() else path
    return {split: CocoFile(root, file, _read(file)) for split, file in files.items()}


def training_file(files: Mapping[str, CocoFile]) -> CocoFile:
    """The one whose categories are the classes."""
    return files["train"] if "train" in files else next(iter(files.values()))


def _find_files(root: Path) -> dict[str, Path]:
    """The file of each split.

    Raises:
        DataError: two files for one split.
    """
    folder = next((sub for sub in subfolders(root) if sub.name.lower() == "annotations"), None)
    if folder is not None:
        files = sorted(folder.glob("*.json"))
        instances = [file for file in files if file.stem.startswith("instances")]
        return _by_split(instances or files)
    inside = {split: _coco_in(inner) for split, inner in split_folders(root).items()}
    found = {split: files[0] for split, files in inside.items() if files}
    return found or _by_split(_files_beside_images(root))


def _files_beside_images(root: Path) -> list[Path]:
    """COCO's files in the folder itself; none where other folders than of images are beside them.

    Those may be class folders, and the file something about them.
    """
    files = _coco_in(root)
    names = {*_IMAGE_FOLDERS, *(folder for file in files for folder in _folders_named_as(file))}
    strange = [sub for sub in subfolders(root) if sub.name.lower() not in names]
    return [] if strange else files


def _coco_in(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.json")) if _looks_like_coco(file)]


def _by_split(files: Sequence[Path]) -> dict[str, Path]:
    """The file of each split.

    Raises:
        DataError: two files for one split, or several of which none says its split.
    """
    found: dict[str, Path] = {}
    for file in files:
        words = re.findall(r"[a-z]+", file.stem.lower())
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        if split is None and len(files) == 1:
            split = "all"
        if split is None:
            continue
        if split in found:
            raise DataError(
                f"{found[split]} and {file} are both of the {split} split",
                "Name one instead of the folder.",
            )
        found[split] = file
    unclear = [] if found else [file for file in files if _looks_like_coco(file)]
    if unclear:
        names = ", ".join(file.name for file in unclear[:_SHOWN]) + ", ..." * (
            len(unclear) > _SHOWN
        )
        raise DataError(
            f"{unclear[0].parent} has {names}: which is to be read?",
            f"Name one, as in --data {unclear[0]}",
        )
    return found


def _looks_like_coco(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(_SNIFFED)
    return any(f'"{name}"'.encode() in start for name in (*_LISTS, "info"))


def _read(file: Path) -> dict[str, Any]:
    text = file.read_bytes()
    if not text.strip():
        raise DataError(f"{file} is empty", "A COCO file has images, annotations and categories.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no JSON: {error}", "Was it copied to its end?") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), list) for name in _LISTS
    ):
        raise DataError(
            f"{file} is no COCO file of objects: it needs lists of {', '.join(_LISTS)}",
            "Files of captions, or of tests without annotations, cannot be used.",
        )
    return content


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _file_name(image: Mapping[str, Any]) -> str:
    """With forward slashes: some files are written on Windows."""
    return str(image["file_name"]).replace("\\", "/")


def _image_folder(root: Path, file: Path, names: Sequence[str]) -> Path:
    """The first place where the first image is; where it is nowhere, beside the file."""
    stem, plain = _folders_named_as(file)
    places = [file.parent]
    for above in (root, root / "images"):
        places += [above / stem, above / plain, above]
    places += [file.parent / "images", file.parent / "data", root / "data", file.parent / stem]
    return next((of for of in places if all((of / name).is_file() for name in names)), places[0])


def _folders_named_as(file: Path) -> tuple[str, str]:
    """Of ``instances_train2017.json``: train2017 and train."""
    stem = file.stem.removeprefix("instances_")
    return stem, stem.rstrip("0123456789")
