"""The one decoder: any image file as people have them to uint8 of 1, 3 or 4 channels.

What each kind of file becomes:

- EXIF orientation is applied.
- Transparency is laid on white, unless 4 channels are asked for.
- Of an animation or a stack, the first frame; of a path like ``stack.tif[12]``, that page, and
  nothing else of the file is read.
- 16 bits a channel are scaled to 8 (65535 becomes 255), never clipped.
- Floats must lie within 0 and 1, and are scaled by 255; other floats, and 32-bit integers, have no
  agreed white, and are refused.
- Colour profiles are not applied. CMYK and palettes become RGB; grey is the luma of ITU-R 601-2.
- An image of too many pixels is refused from its header, before memory is taken for it.

Pillow reads every header, and every file but plain JPEGs, whose pixels simplejpeg decodes: the same
ones, sooner.  Where simplejpeg as much as warns, Pillow decides.

Whatever Pillow says or does, its global state stays as it is and its warnings stay inside.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from zoo.data.decoding._opening import MAX_PIXELS, damaged, opened, orientation, upright
from zoo.data.decoding._quiet_pillow import quiet_pillow
from zoo.errors import DataError

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_JPEG_MODES = {("RGB", "RGB"), ("L", "RGB"), ("L", "L")}
"""Of a JPEG, and asked for; grey of a colour image is what Pillow computes from the colours."""


def decode_image(
    source: Path | bytes, *, channels: int = 3, max_pixels: int = MAX_PIXELS
) -> Tensor:
    """Decode an image.

    Args:
        source: the file, a page of it, or its content.
        channels: 1 for grey, 3 for RGB, 4 for RGBA.
        max_pixels: above which the image is refused.

    Returns:
        (channels, height, width) uint8; its memory lies row by row, pixel by pixel.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    if channels not in _MODES:
        raise DataError(f"images have no {channels} channels", "Use 1 (grey), 3 (RGB) or 4 (RGBA).")
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with quiet_pillow(), opened(source, max_pixels) as image:
            _check_white(image, name)
            pixels = _jpeg_pixels(image, _MODES[channels])
            if pixels is None:
                pixels = np.array(_to_mode(upright(image), _MODES[channels]))
    except DataError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        raise damaged(name, error) from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).permute(2, 0, 1)


def _jpeg_pixels(image: Image.Image, mode: str) -> NDArray[np.uint8] | None:
    """Of a plain JPEG, as Pillow would decode it; None where that is left to Pillow."""
    if not isinstance(image, JpegImageFile) or image.fp is None:
        return None
    if (image.mode, mode) not in _JPEG_MODES:
        return None
    image.fp.seek(0)
    colours = "GRAY" if mode == "L" else mode
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(image.fp.read(), colours)
    except ValueError:  # a warning, too: what Pillow says of the file is what counts
        return None
    if pixels.shape[:2] != (image.height, image.width):
        return None
    if orientation(image) == 1:
        return pixels
    decoded = Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
    decoded.info = image.info
    return np.array(upright(decoded))


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_to_8_bits(image))
    if mode == "RGBA":
        return image.convert("RGBA")
    if image.has_transparency_data:
        image = _on_white(image)
    if mode == "L" and image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _to_8_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of 16 bits or floats, which Pillow would clip at 255."""
    white = 1.0 if image.mode == "F" else 65535.0
    return np.rint(np.asarray(image, dtype=np.float64) * (255.0 / white)).astype(np.uint8)


def _check_white(image: Image.Image, name: str) -> None:
    """Refuse numbers of which nobody says what is white."""
    # Pillow reads a PPM's 16 bits as 32, scaled to 65535.
    if image.mode not in ("F", "I") or (image.mode == "I" and image.format == "PPM"):
        return
    values = np.asarray(image)
    if image.mode == "F" and bool(((values >= 0) & (values <= 1)).all()):
        return
    kind = "floats" if image.mode == "F" else "32-bit integers"
    raise DataError(
        f"{name}: its pixels are {kind} from {values.min():g} to {values.max():g}, of which nobody"
        " says what is white",
        "Save it with 8 or 16 bits, or as floats from 0 to 1.",
    )
