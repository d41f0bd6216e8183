"""Words, boxes and masks on pictures, readable whatever the size and the script."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SMALLEST_WIDTH_PX = 240
_SMALLEST_FONT_PX = 14
_LONGEST_LABEL = 40
"""Characters; what is longer ends in an ellipsis."""
_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc")
"""Wider fonts that systems often have, for scripts that Pillow's own font lacks."""


def caption(image: Image.Image, lines: Sequence[str], colours: Sequence[int] = ()) -> Image.Image:
    """A copy of the image over a dark strip with the lines; the image itself stays uncovered.

    Small images are enlarged by a whole factor, pixels kept sharp.  A letter that no font of this
    machine has is written as its code.

    Args:
        colours: class number of each line, whose colour stands before it; none: no colours.
    """
    picture = _enlarged(image.convert("RGB"))
    size = max(_SMALLEST_FONT_PX, picture.width // 24)
    rows = [_readable(" ".join(line.split()), size) for line in lines]
    pad, pitch = size // 2, size * 4 // 3
    text_width = max((round(font.getlength(text)) for text, font in rows), default=0)
    indent = size + pad if colours else 0
    width = max(picture.width, text_width + indent + 2 * pad)
    height = picture.height + pitch * len(rows) + 2 * pad
    canvas = Image.new("RGB", (width, height), (24, 24, 24))
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (text, font) in enumerate(rows):
        top = picture.height + pad + number * pitch
        draw.text((pad + indent, top), text, font=font, fill=(255, 255, 255))
    for number, index in enumerate(colours):
        top = picture.height + pad + number * pitch
        colour = class_colour(index)
        draw.rectangle((pad, top, pad + size, top + size), fill=colour, outline=(255, 255, 255))
    return canvas


def boxes_on(
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
    texts: Sequence[str],
    *,
    colours: Sequence[int],
) -> Image.Image:
    """A copy of the image with boxes, each with a text above it, or inside where there is no room.

    Args:
        boxes: x1 y1 x2 y2 in px of the image; the first is drawn last, over the others.
        texts: of each box.
        colours: class number of each box.
    """
    picture = _enlarged(image.convert("RGB"))
    factor, size = picture.width / image.width, max(_SMALLEST_FONT_PX, picture.width // 40)
    line_px = max(2, picture.width // 240)
    draw = ImageDraw.Draw(picture)
    for box, text, index in reversed(list(zip(boxes, texts, colours, strict=True))):
        x1, y1, x2, y2 = (factor * edge for edge in box)
        colour = class_colour(index)
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=line_px)
        readable, font = _readable(" ".join(text.split()), size)
        width = font.getlength(readable) + 4
        top = max(0.0, y1 - size - 4)
        left = max(0.0, min(x1, picture.width - width))
        draw.rectangle((left, top, left + width, top + size + 4), fill=colour)
        draw.text((left + 2, top + 1), readable, font=font, fill=_ink_on(colour))
    return picture


def overlay(image: Image.Image, mask: NDArray[np.uint8]) -> Image.Image:
    """The image under half-transparent colours of its classes; the first class has none."""
    picture = image.convert("RGB")
    tinted = Image.blend(picture, mask_image(mask).convert("RGB"), 0.5)
    picture.paste(tinted, mask=Image.fromarray((mask > 0).astype(np.uint8) * 255))
    return picture


def mask_image(mask: NDArray[np.uint8]) -> Image.Image:
    """A palette image (mode P) whose pixels are class numbers, shown in the classes' colours."""
    image = Image.fromarray(mask, mode="P")
    image.putpalette([part for index in range(256) for part in class_colour(index)])
    return image


def class_colour(index: int) -> tuple[int, int, int]:
    """The colour of a class as Pascal VOC has it: the bits of the number, spread over R, G, B.

    >>> class_colour(0), class_colour(1), class_colour(15)
    ((0, 0, 0), (128, 0, 0), (192, 128, 128))
    """
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]


def _ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever is readable on the colour."""
    red, green, blue = colour
    return (0, 0, 0) if 299 * red + 587 * green + 114 * blue > 128_000 else (255, 255, 255)


def shortened(label: str) -> str:
    """A label that fits a line."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def padded(text: str, width: int) -> str:
    """Padded by what a terminal shows: wide letters take two cells."""
    return text + " " * (width - cell_len(text))


def _enlarged(image: Image.Image) -> Image.Image:
    factor = -(-_SMALLEST_WIDTH_PX // image.width)
    # A very tall image that is narrow would grow out of all bounds.
    if factor == 1 or image.height * factor > 8 * _SMALLEST_WIDTH_PX:
        return image
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)


def _readable(text: str, size: int) -> tuple[str, Font]:
    """The text in the first font that has all its letters, else in the one that has most."""
    fonts = [_font(name, size) for name in ("", *_FONTS)]
    missing = [(font, _missing(font, text)) for font in fonts if font is not None]
    font, absent = min(missing, key=lambda pair: len(pair[1]))
    return "".join(f"\\u{ord(c):04x}" if c in absent else c for c in text), font


@cache
def _font(name: str, size: int) -> Font | None:
    """A font of this machine; Pillow's own, which is always there, without a name."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


def _missing(font: Font, text: str) -> set[str]:
    """The letters that a font draws as its sign for what it does not have."""
    unknown = bytes(font.getmask("\uffff"))
    return {c for c in text if not c.isspace() and bytes(font.getmask(c)) == unknown}
