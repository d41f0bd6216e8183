"""Words on pictures, readable whatever the size of the picture and the script of the words."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SMALLEST_WIDTH_PX = 240
_SMALLEST_FONT_PX = 14
_LONGEST_LABEL = 40
"""Characters; what is longer ends in an ellipsis."""
_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc")
"""Wider fonts that systems often have, for scripts that Pillow's own font lacks."""


def caption(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of the image over a dark strip with the lines; the image itself stays uncovered.

    Small images are enlarged by a whole factor, pixels kept sharp.  A letter that no font of this
    machine has is written as its code.
    """
    picture = _enlarged(image.convert("RGB"))
    size = max(_SMALLEST_FONT_PX, picture.width // 24)
    rows = [_readable(" ".join(line.split()), size) for line in lines]
    pad, pitch = size // 2, size * 4 // 3
    text_width = max((round(font.getlength(text)) for text, font in rows), default=0)
    width = max(picture.width, text_width + 2 * pad)
    height = picture.height + pitch * len(rows) + 2 * pad
    canvas = Image.new("RGB", (width, height), (24, 24, 24))
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (text, font) in enumerate(rows):
        top = picture.height + pad + number * pitch
        draw.text((pad, top), text, font=font, fill=(255, 255, 255))
    return canvas


def shortened(label: str) -> str:
    """A label that fits a line."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


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
