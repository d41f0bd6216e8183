"""Images by themselves, to be answered: what a path shows, whatever is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from torch import Tensor

from zoo.data.decoding import decode_image, page_name, split_page, whole_pages
from zoo.data.files import find_images
from zoo.data.masks import mask_files, mask_stacks
from zoo.data.packs import Packed, holds_pack, read_pack
from zoo.errors import DataError
from zoo.wording import counted


class ReadImage(Protocol):
    """Decodes an image: (c, h, w) uint8."""

    def __call__(self, *, channels: int) -> Tensor: ...


@dataclass(frozen=True)
class ImageAlone:
    """An image, wherever it lies.

    Attributes:
        path: that messages name; of a page ``stack.tif[3]``, of a pack ``train.images[cat/1.jpg]``.
        stem: for the names of files that are made of it.
        read: decodes it.
    """

    path: Path
    stem: str
    read: ReadImage


def images_at(path: Path, *, message: Callable[[str], None]) -> list[ImageAlone]:
    """The images that a path shows, in natural order; none where nothing is there.

    Of a TIFF file each page is one.  Of a folder all image files are, with those in folders inside
    it, except masks that lie beside their images; of a pack the images that were packed.

    Args:
        path: a file, whatever its suffix; a page of one; or a folder.
        message: told what is left out, and of pages.

    Raises:
        DataError: a damaged pack.
    """
    if not path.is_dir():
        there = path.exists() or split_page(path)[0].is_file()
        return _of_files([path], path, message) if there else []
    if holds_pack(path):
        return [
            _packed_image(split, index)
            for split in read_pack(path, channels=3).values()
            for index in range(len(split))
        ]
    masks = _masks_in(path, message)
    return _of_files([path / n for n in find_images(path) if n not in masks], path, message)


def _masks_in(folder: Path, message: Callable[[str], None]) -> frozenset[str]:
    """Names of the masks that lie beside their images; none where it is unclear which they are."""
    try:
        masks = frozenset({*mask_files(folder), *mask_stacks(folder)})
    except DataError as error:
        message(f"{error.cause}; all images are answered")
        return frozenset()
    if masks:
        message(f"{folder}: left out {counted(len(masks), 'mask')} that lie beside images")
    return masks


def _of_files(
    files: Sequence[Path], asked: Path, message: Callable[[str], None]
) -> list[ImageAlone]:
    """The images in some files, of which stacks hold several."""
    images = [_images_of_file(file) for file in files]
    stacks = sum(len(of) > 1 for of in images)
    if stacks:
        message(f"{asked}: each page of {counted(stacks, 'TIFF file')} is an image")
    return [image for of in images for image in of]


def _images_of_file(path: Path) -> list[ImageAlone]:
    file, page = split_page(path)
    if page is not None and not path.exists():
        return [_page(file, page)]
    try:
        pages = whole_pages(path)
    except DataError:  # said again by whoever reads it, and may leave it out
        pages = []
    if len(pages) > 1:
        return [_page(path, number) for number in pages]
    return [ImageAlone(path, path.stem, partial(decode_image, path))]


def _page(file: Path, page: int) -> ImageAlone:
    path = file.with_name(page_name(file.name, page))
    return ImageAlone(path, f"{file.stem}-{page}", partial(decode_image, path))


def _packed_image(split: Packed, index: int) -> ImageAlone:
    def read(*, channels: int) -> Tensor:
        return replace(split, channels=channels).image(index)

    return ImageAlone(Path(split.describe(index)), PurePosixPath(split.names[index]).stem, read)
