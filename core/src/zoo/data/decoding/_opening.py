"""Files of images, opened by Pillow with nothing decoded, and what their headers say.

Whatever is wrong with a file is a ``DataError`` that names it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.data.decoding._pages import page_name, split_page
from zoo.data.decoding._quiet_pillow import quiet_pillow
from zoo.errors import DataError

MAX_PIXELS = 100_000_000
"""Of one image, width times height; 300 MB as RGB."""
_SUFFIXES_BY_FORMAT = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2",),
    "MPO": (),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""No EPS (it would start Ghostscript), and nothing that is a document or a movie."""
IMAGE_SUFFIXES = frozenset(chain.from_iterable(_SUFFIXES_BY_FORMAT.values()))
"""Of the files that are taken for images; what decodes them is decided by their content."""
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of the orientation, and its values that exchange height and width."""
_SUBFILE, _NO_IMAGE = 254, 0b101
"""TIFF's tag of what a page is, and its bits for a reduced copy and a mask of transparency."""
_SKIP = "Repair or remove it, or leave bad images out with --on-bad-image skip."


@contextmanager
def opened(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An image with its header read and nothing decoded.

    Args:
        source: the file, a page of it, or its content.
        max_pixels: above which the image is refused.

    Raises:
        DataError: it cannot be read, or is no image.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    path, page = (None, None) if isinstance(source, bytes) else split_page(source)
    if path is None or page is None:
        content = source if isinstance(source, bytes) else read_bytes(source)
        yield _open_image(io.BytesIO(content), name, max_pixels)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield _turn_to(_open_image(file, name, max_pixels), page, name, max_pixels)


def suffix_of(name: str) -> str:
    """The suffix of a file's name, in small letters; pathlib's takes longer, for a million names.

    >>> suffix_of("a/B.JPG"), suffix_of("a.b/c")
    ('.jpg', '')
    """
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def read_bytes(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        link = " (a link to nothing)" if path.is_symlink() else ""
        return DataError(f"{path} does not exist{link}", _SKIP)
    return DataError(f"{path} cannot be read: {error.strerror or error}", _SKIP)


def _open_image(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    start = file.read(16)
    if not start:
        raise DataError(f"{name} is empty (0 bytes)", _SKIP)
    file.seek(0)
    try:
        image = Image.open(file, formats=_formats())
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: {_in_a_line(error)}", _SKIP) from None
    except UnidentifiedImageError:
        seen = start.decode("latin-1").encode("ascii", "backslashreplace").decode()
        raise DataError(
            f"{name} is no image that can be read; it begins with {seen!r}", _SKIP
        ) from None
    except Exception as error:  # readers of broken headers raise nearly anything
        raise damaged(name, error) from error
    return _of_bounded_size(image, name, max_pixels)


def _turn_to(image: Image.Image, page: int, name: str, max_pixels: int) -> Image.Image:
    try:
        image.seek(page)
    except EOFError:
        raise DataError(f"{name} is a page that the file has not", "Count pages from 0.") from None
    except Exception as error:  # readers of broken headers raise nearly anything
        raise damaged(name, error) from error
    return _of_bounded_size(image, name, max_pixels)


def _of_bounded_size(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    if image.width * image.height > max_pixels:
        raise DataError(
            f"{name} has {image.width} x {image.height} px, more than {max_pixels:,} in all", _SKIP
        )
    return image


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _SUFFIXES_BY_FORMAT if name in Image.OPEN)


def upright(image: Image.Image) -> Image.Image:
    """The first frame as it should be looked at."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  (an unreadable EXIF block says nothing of the orientation)
        return image


def orientation(image: Image.Image) -> int:
    """As EXIF counts it; 1, which is upright, where nothing can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  (as in ``upright``)
        return 1


def image_header(path: Path) -> tuple[int, int, str]:
    """Width and height in px, and Pillow's name of the mode, without decoding.

    Raises:
        DataError: the file is no image.
    """
    with quiet_pillow(), opened(path) as image:
        return image.width, image.height, image.mode


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width in px of an image as it is looked at, without decoding.

    Raises:
        DataError: the file is no image.
    """
    with quiet_pillow(), opened(path) as image:
        turned = orientation(image) in _TURNED
    return (image.width, image.height) if turned else (image.height, image.width)


def count_pages(path: Path) -> int:
    """Of a TIFF file.

    Raises:
        DataError: the file is no image, or is cut off.
    """
    try:
        with quiet_pillow(), opened(path.with_name(page_name(path.name, 0))) as image:
            return int(getattr(image, "n_frames", 1))
    except DataError:
        raise
    except Exception as error:  # readers of broken files raise nearly anything
        raise damaged(str(path), error) from error


def whole_pages(path: Path) -> list[int]:
    """The pages of a TIFF file that are images of their own; none for other files.

    Smaller copies of a page, and masks of transparency, are pages, too, and say so.

    Raises:
        DataError: the file is no image, or is cut off.
    """
    if path.suffix.lower() not in _SUFFIXES_BY_FORMAT["TIFF"]:
        return []
    pages = []
    try:
        with quiet_pillow(), opened(path.with_name(page_name(path.name, 0))) as image:
            for page in range(getattr(image, "n_frames", 0) if image.format == "TIFF" else 0):
                image.seek(page)
                if not image.tag_v2.get(_SUBFILE, 0) & _NO_IMAGE:  # type: ignore[attr-defined]
                    pages.append(page)
    except DataError:
        raise
    except Exception as error:  # readers of broken files raise nearly anything
        raise damaged(str(path), error) from error
    return pages


def image_content(path: Path) -> bytes:
    """What is equal where two images are: the bytes of a file, the pixels of a page.

    Raises:
        DataError: the file cannot be read.
    """
    if split_page(path)[1] is None:
        return read_bytes(path)
    with quiet_pillow(), opened(path) as image:
        return repr(image.size).encode() + image.tobytes()


def damaged(name: str, error: Exception) -> DataError:
    """What to say of a file that a decoder fails on."""
    return DataError(f"{name} is damaged: {_in_a_line(error)}", _SKIP)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
