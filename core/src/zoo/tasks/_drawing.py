"""Words on pictures, readable whatever the size of the picture and the script of the words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALLEST_WIDTH_PX = 240
_SMALLEST_FONT_PX = 14
_LONGEST_LINE = 60
"""Characters; what is longer ends in an ellipsis."""
_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc")
"""Wider fonts that systems often have, for scripts that Pillow's own font lacks."""


def caption(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A copy of the image over a dark strip with the lines; the image itself stays uncovered.

    Small images are enlarged by a whole factor, pixels kept sharp.
    """
    picture = _enlarged(image.convert("RGB"))
    size = max(_SMALLEST_FONT_PX, picture.width // 24)
    lines = [_shortened(line) for line in lines]
    font = _font(size, "".join(lines))
    widths = [round(font.getlength(line)) for line in lines]
    pad, pitch = size // 2, size * 4 // 3
    width = max(picture.width, max(widths, default=0) + 2 * pad)
    canvas = Image.new("RGB", (width, picture.height + pitch * len(lines) + 2 * pad), (24, 24, 24))
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    for row, line in enumerate(lines):
        top = picture.height + pad + row * pitch
        draw.text((pad, top), line, font=font, fill=(255, 255, 255))
    return canvas


def _enlarged(image: Image.Image) -> Image.Image:
    factor = -(-_SMALLEST_WIDTH_PX // image.width)
    # A very tall image that is narrow would grow out of all bounds.
    if factor == 1 or image.height * factor > 8 * _SMALLEST_WIDTH_PX:
        return image
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _font(size: int, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The first font that has every character of the text; Pillow's own where none has."""
    default = ImageFont.load_default(size)
    if isinstance(default, ImageFont.ImageFont) or _has_all(default, text):
        return default
    for name in _FONTS:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        if _has_all(font, text):
            return font
    return default


def _has_all(font: ImageFont.FreeTypeFont, text: str) -> bool:
    missing = bytes(font.getmask("\uffff"))
    return all(c.isspace() or bytes(font.getmask(c)) != missing for c in set(text))
