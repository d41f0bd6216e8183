"""The one decoder of mask files: the numbers that are written in them, never a colour's guess.

What each kind of file becomes:

- Grey of 1, 8 or 16 bits: its values. A palette image: its indices; what the palette looks like,
  transparent entries included, says nothing.
- RGB: its grey values where every pixel is grey, else its colours, which need a table of classes.
- An alpha channel must be opaque everywhere; anything else is a cut-out, and no mask.
- Floats and 32-bit integers must be whole numbers from 0 to 65535.
- EXIF orientation is applied, as it is to the image.
- Formats that may lose values (JPEG, WebP, AVIF, JPEG 2000), files of several pages whose name says
  none, and other colour spaces are refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.data.decoding._opening import damaged, opened, upright
from zoo.data.decoding._pages import split_page
from zoo.data.decoding._quiet_pillow import quiet_pillow
from zoo.errors import DataError

COLOUR = 1 << 24
"""Added to a colour, 65536 R + 256 G + B, to tell it from a value."""
_LOSSY = {
    "JPEG": "JPEG",
    "MPO": "JPEG",
    "WEBP": "WebP",
    "AVIF": "AVIF",
    "JPEG2000": "JPEG 2000",
}
_GREATEST = 65535

Values = NDArray[np.int32]


def decode_mask(path: Path) -> Values:
    """The numbers in a mask file or a page: (h, w) int32, values, or colours with ``COLOUR`` added.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    try:
        with quiet_pillow(), opened(path) as image:
            _check_format(image, path)
            return _numbers(upright(image), path)
    except DataError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        raise damaged(str(path), error) from error


def _check_format(image: Image.Image, path: Path) -> None:
    lossy = _LOSSY.get(image.format or "")
    if lossy:
        raise DataError(
            f"{path} is a {lossy} file, which changes the numbers of a mask near every edge",
            "Write masks as PNG from what made them; a two-class mask can also be cut at 128 by"
            ' Image.open(f).convert("L").point(lambda v: 255 * (v >= 128)).save(...).',
        )
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and split_page(path)[1] is None:
        raise DataError(
            f"{path} holds {pages} pages",
            "Write a file for each mask, or put images.tif and masks.tif, which have a page for"
            " each image, into a folder of their own.",
        )


def _numbers(image: Image.Image, path: Path) -> Values:
    mode = image.mode
    if mode in ("RGBA", "LA", "PA"):
        image = _without_alpha(image, path)
        mode = image.mode
    if mode == "RGB":
        return _values_or_colours(np.asarray(image))
    if mode in ("1", "L", "P") or mode.startswith("I;16"):
        return np.asarray(image).astype(np.int32)
    if mode in ("I", "F"):
        return _whole_numbers(np.asarray(image), path)
    raise DataError(f"{path} has the colour mode {mode}, which no mask has", "Write it as PNG.")


def _without_alpha(image: Image.Image, path: Path) -> Image.Image:
    opaque = image.getchannel("A").getextrema() == (255, 255)
    if not opaque:
        raise DataError(
            f"{path} has transparent pixels: a cut-out rather than a mask",
            "Write a mask of class numbers without an alpha channel.",
        )
    return image.convert({"RGBA": "RGB", "LA": "L", "PA": "P"}[image.mode])


def _values_or_colours(pixels: NDArray[np.uint8]) -> Values:
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    return COLOUR + (red << 16) + (green << 8) + blue


def _whole_numbers(values: NDArray[np.generic], path: Path) -> Values:
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        raise DataError(
            f"{path} has values that are no whole numbers, {_some(numbers)}",
            "A mask holds class numbers, and no probabilities.",
        )
    if numbers.min() < 0 or numbers.max() > _GREATEST:
        raise DataError(
            f"{path} has values from {numbers.min():.0f} to {numbers.max():.0f}",
            f"A mask holds class numbers from 0 to {_GREATEST}.",
        )
    return numbers.astype(np.int32)


def _some(numbers: NDArray[np.float64]) -> str:
    odd = numbers[~np.isfinite(numbers) | (numbers != np.rint(numbers))]
    return ", ".join(f"{value:g}" for value in np.unique(odd)[:3])
