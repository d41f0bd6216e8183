"""Image files as people have them: each has one documented result, or one named error."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from zoo.data.decoding import decode_image
from zoo.errors import DataError

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def photo(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    """Smooth colours, dark on the left, so that JPEG changes little."""
    width, height = size
    across = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    down = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    image = Image.fromarray(np.stack([across, down, across], -1))
    return image.convert(mode)


def arrow() -> Image.Image:
    """6 x 4 px, black but for a red top left corner of 2 x 2 and a white top right one."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2, :2], pixels[:2, 4:] = RED, WHITE
    return Image.fromarray(pixels)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels to speak of."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(width + 1)))
        + chunk(b"IEND", b"")
    )


def colour_at(image: torch.Tensor, row: int, column: int) -> tuple[int, ...]:
    return tuple(image[:, row, column].tolist())


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_their_very_pixels(format_: str) -> None:
    image = photo()
    options = {"lossless": True} if format_ == "WEBP" else {}

    decoded = decode_image(encoded(image, format_, **options), channels=3)

    assert decoded.dtype == torch.uint8
    assert np.array_equal(decoded.permute(1, 2, 0).numpy(), np.array(image))


@pytest.mark.parametrize("format_", ["JPEG", "GIF", "WEBP"])
def test_lossy_formats_give_nearly_their_pixels(format_: str) -> None:
    decoded = decode_image(encoded(photo(), format_), channels=3)

    difference = decoded.permute(1, 2, 0).numpy() - np.array(photo()).astype(float)
    assert decoded.shape == (3, 16, 24)
    assert np.abs(difference).mean() < 12


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(24, 16), (37, 51), (1, 1)])
def test_jpegs_have_the_very_pixels_that_pillow_decodes(
    mode: str, channels: int, size: tuple[int, int], subsampling: str, progressive: bool
) -> None:
    content = encoded(
        photo(mode, size), "JPEG", quality=80, subsampling=subsampling, progressive=progressive
    )
    with Image.open(io.BytesIO(content)) as image:
        expected = np.array(image.convert({1: "L", 3: "RGB"}[channels]))

    decoded = decode_image(content, channels=channels)

    assert np.array_equal(decoded.permute(1, 2, 0).numpy(), expected.reshape(*size[::-1], channels))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 3), ("L", 1)])
def test_plain_jpegs_are_decoded_without_pillow(
    monkeypatch: pytest.MonkeyPatch, mode: str, channels: int
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", _never)

    decoded = decode_image(encoded(photo(mode), "JPEG"), channels=channels)

    assert decoded.shape == (channels, 16, 24)


def test_a_jpeg_with_stray_bytes_is_what_pillow_makes_of_it() -> None:
    content = encoded(photo(), "JPEG")
    tables = content.index(b"\xff\xdb")
    strayed = content[:tables] + b"\0\0\0" + content[tables:]
    with Image.open(io.BytesIO(strayed)) as image:
        expected = np.array(image)

    decoded = decode_image(strayed, channels=3)

    assert np.array_equal(decoded.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(
    ("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")], ids=["grey", "RGB", "RGBA"]
)
def test_channels_are_what_the_model_asks_for(channels: int, mode: str) -> None:
    decoded = decode_image(encoded(photo()), channels=channels)

    expected = np.array(photo().convert(mode)).reshape(16, 24, channels)
    assert np.array_equal(decoded.permute(1, 2, 0).numpy(), expected)


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(DataError, match="no 2 channels"):
        decode_image(encoded(photo()), channels=2)


def test_grey_is_repeated_to_rgb() -> None:
    decoded = decode_image(encoded(photo("L")), channels=3)

    assert np.array_equal(decoded[0].numpy(), np.array(photo("L")))
    assert torch.equal(decoded[0], decoded[1])
    assert torch.equal(decoded[0], decoded[2])


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_and_not_clipped(format_: str) -> None:
    values = np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16)

    decoded = decode_image(encoded(Image.fromarray(values), format_), channels=3)

    assert np.array_equal(decoded[0].numpy(), np.rint(values / 257))
    assert torch.equal(decoded[0], decoded[2])


def test_one_bit_images_are_black_and_white() -> None:
    pixels = np.array(photo("1"))

    decoded = decode_image(encoded(photo("1")), channels=1)

    assert np.array_equal(decoded[0].numpy(), pixels * 255)


def test_a_palette_becomes_its_colours() -> None:
    image = arrow().convert("P", palette=Image.Palette.ADAPTIVE)

    decoded = decode_image(encoded(image), channels=3)

    assert [colour_at(decoded, 0, column) for column in (0, 3, 5)] == [RED, BLACK, WHITE]


def test_a_palette_is_no_grey_value() -> None:
    image = arrow().convert("P", palette=Image.Palette.ADAPTIVE)

    decoded = decode_image(encoded(image), channels=1)

    assert [colour_at(decoded, 0, column) for column in (0, 3, 5)] == [(76,), (0,), (255,)]


@pytest.mark.parametrize("transparency", [0, bytes([0, 255, 255])], ids=["one colour", "by colour"])
def test_a_transparent_palette_colour_is_white(transparency: int | bytes) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, *BLACK, *WHITE])
    image.putpixel((3, 3), 1)

    decoded = decode_image(encoded(image, transparency=transparency), channels=3)

    assert colour_at(decoded, 0, 0) == WHITE
    assert colour_at(decoded, 3, 3) == BLACK


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_laid_on_white(mode: str, channels: int) -> None:
    image = photo(mode)
    image.putalpha(0)

    decoded = decode_image(encoded(image), channels=channels)

    assert (decoded == 255).all()


def test_half_transparency_is_half_white() -> None:
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 128))

    decoded = decode_image(encoded(image), channels=3)

    assert colour_at(decoded, 0, 0) == (127, 127, 127)


def test_four_channels_keep_transparency() -> None:
    image = Image.new("RGBA", (2, 2), (10, 20, 30, 40))

    decoded = decode_image(encoded(image), channels=4)

    assert colour_at(decoded, 0, 0) == (10, 20, 30, 40)


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(format_: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))

    decoded = decode_image(encoded(image, format_), channels=3)

    assert np.abs(np.array(colour_at(decoded, 8, 8)) - RED).max() < 6


def test_floats_from_0_to_1_are_scaled() -> None:
    values = np.linspace(0, 1, 24 * 16, dtype=np.float32).reshape(16, 24)

    decoded = decode_image(encoded(Image.fromarray(values), "TIFF"), channels=3)

    assert np.array_equal(decoded[0].numpy(), np.rint(values.astype(float) * 255))


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 4), 1.5, np.float32),
        np.full((4, 4), -0.5, np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 100, np.int32),
    ],
    ids=["above one", "below zero", "NaN", "32-bit integers"],
)
def test_numbers_without_a_white_are_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match="nobody says what is white"):
        decode_image(encoded(Image.fromarray(values), "TIFF"), channels=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(format_: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = arrow().resize((48, 32), Image.Resampling.NEAREST)
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode_image(encoded(stored, format_, exif=exif), channels=3)

    assert decoded.shape == (3, 32, 48)
    assert colour_at(decoded, 4, 4)[1] < 100 < colour_at(decoded, 4, 4)[0]
    assert min(colour_at(decoded, 4, 44)) > 200
    assert max(colour_at(decoded, 28, 24)) < 50


def test_a_damaged_exif_block_does_not_hide_the_image() -> None:
    image = encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")

    assert decode_image(image, channels=3).shape == (3, 16, 24)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(format_: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE, BLACK)]
    movie = encoded(frames[0], format_, save_all=True, append_images=frames[1:])

    decoded = decode_image(movie, channels=3)

    assert decoded.shape == (3, 8, 8)
    assert np.abs(np.array(colour_at(decoded, 4, 4)) - RED).max() < 6


@pytest.mark.parametrize("size", [(1, 1), (4000, 1), (1, 4000)])
def test_extreme_shapes_decode(size: tuple[int, int]) -> None:
    decoded = decode_image(encoded(Image.new("RGB", size, RED)), channels=3)

    assert decoded.shape == (3, size[1], size[0])


def test_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(photo(), "PNG"))

    assert decode_image(path, channels=3).shape == (3, 16, 24)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "begins with '<!DOCTYPE html><'"),
        (b"\x1b[31mred\x00", r"begins with '\\x1b"),
        (encoded(photo(), "JPEG")[:2], "no image"),
        (encoded(photo(), "JPEG")[:-2], "damaged"),
        (encoded(photo(), "JPEG")[: len(encoded(photo(), "JPEG")) // 2], "damaged"),
        (encoded(photo(), "PNG")[: len(encoded(photo(), "PNG")) // 2], "damaged"),
        (encoded(photo(), "PNG")[:33], "no image"),
        (encoded(photo(), "BMP")[:100], "damaged"),
        (encoded(photo(), "TIFF")[:100], "no image|damaged"),
        (encoded(photo(), "WEBP")[:40], "no image|damaged"),
        (encoded(photo(), "GIF")[:30], "no image|damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    ],
    ids=[
        "zero bytes", "HTML", "escape codes", "two bytes", "end marker missing", "half a JPEG",
        "half a PNG", "PNG header only", "half a BMP", "half a TIFF", "half a WebP", "half a GIF",
        "PostScript",
    ],
)  # fmt: skip
def test_broken_files_are_named_with_their_fault(
    tmp_path: Path, content: bytes, cause: str
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)

    with pytest.raises(DataError, match=cause) as caught:
        decode_image(path, channels=3)

    assert str(path) in caught.value.cause
    assert "--on-bad-image skip" in caught.value.cure
    assert "\x1b" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing.jpg")

    with pytest.raises(DataError, match=r"link.jpg does not exist .a link to nothing"):
        decode_image(tmp_path / "link.jpg", channels=3)


@pytest.mark.parametrize(
    ("width", "height"), [(40_000, 40_000), (12_000, 12_000), (10_001, 10_000)]
)
def test_a_bomb_is_refused_from_its_header(
    monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr(Image.Image, "load", _never)

    with pytest.raises(DataError, match=r"px, more than|exceeds limit"):
        decode_image(png_header(width, height), channels=3)


def _never(*_: object) -> None:
    raise AssertionError("memory would have been taken")


def test_the_largest_image_allowed_is_below_the_limit() -> None:
    image = encoded(Image.new("L", (20, 10)))

    assert decode_image(image, channels=1, max_pixels=200).shape == (1, 10, 20)
    with pytest.raises(DataError, match="20 x 10 px, more than 199"):
        decode_image(image, channels=1, max_pixels=199)


def test_pillow_stays_as_it_is_and_silent() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    contents = [
        encoded(photo("P"), transparency=bytes(range(200))),
        encoded(Image.new("1", (9_500, 9_500)), "PNG"),  # above the size that Pillow warns of
        *[encoded(photo(), "TIFF")[:200], encoded(photo("P"), transparency=bytes(range(200)))] * 8,
    ]

    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(_shape_or_fault, contents))

    assert len({str(shape) for shape in shapes}) == 3
    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


def _shape_or_fault(content: bytes) -> object:
    try:
        return tuple(decode_image(content, channels=1).shape)
    except DataError as error:
        return type(error)


@pytest.mark.parametrize("flip", range(0, 600, 37))
def test_bit_rot_gives_an_image_or_a_named_error(flip: int) -> None:
    content = bytearray(encoded(photo(), "JPEG"))
    content[flip % len(content)] ^= 1 << (flip % 8)

    outcome = _image_or_error(lambda: decode_image(bytes(content), channels=3))

    assert isinstance(outcome, torch.Tensor | DataError)


def _image_or_error(decode: Callable[[], torch.Tensor]) -> torch.Tensor | DataError:
    try:
        return decode()
    except DataError as error:
        return error
