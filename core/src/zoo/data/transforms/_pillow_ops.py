"""The operations of augmentation policies, on Pillow images, where their sources ran them.

TrivialAugment's and RandAugment's published results come from Pillow's operations; the same ones
give the same pixels, and they are quicker on the small uint8 images of a loader process than
kernels for tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from zoo.errors import DataError

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, slots=True)
class Border:
    """How an operation that moves pixels fills in.

    Attributes:
        interpolation: "bilinear" or "bicubic".
        fill: grey value or colour of what comes in, 0 to 255 for each channel.
    """

    interpolation: str
    fill: tuple[int, ...]


Operation = Callable[[Image.Image, float, Border], Image.Image]


def to_pillow(image: Tensor) -> Image.Image:
    """(c, h, w) uint8, grey or RGB."""
    if image.shape[0] not in (1, 3):
        raise DataError(
            f"auto_augment works on grey and RGB images, not on {image.shape[0]} channels",
            "Set transforms.auto_augment to none.",
        )
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if image.shape[0] == 1 else pixels)


def from_pillow(image: Image.Image) -> Tensor:
    """(c, h, w) uint8."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _move(image: Image.Image, matrix: tuple[float, ...], border: Border) -> Image.Image:
    fill = border.fill if image.mode == "RGB" else border.fill[0]
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        resample=_RESAMPLING[border.interpolation],
        fillcolor=fill,
    )


def _shear_x(image: Image.Image, factor: float, border: Border) -> Image.Image:
    return _move(image, (1, factor, 0, 0, 1, 0), border)


def _shear_y(image: Image.Image, factor: float, border: Border) -> Image.Image:
    return _move(image, (1, 0, 0, factor, 1, 0), border)


def _translate_x(image: Image.Image, px: float, border: Border) -> Image.Image:
    return _move(image, (1, 0, px, 0, 1, 0), border)


def _translate_y(image: Image.Image, px: float, border: Border) -> Image.Image:
    return _move(image, (1, 0, 0, 0, 1, px), border)


def _rotate(image: Image.Image, degrees: float, border: Border) -> Image.Image:
    fill = border.fill if image.mode == "RGB" else border.fill[0]
    return image.rotate(degrees, resample=_RESAMPLING[border.interpolation], fillcolor=fill)


def _solarize_add(image: Image.Image, added: float, _: Border) -> Image.Image:
    table = [min(255, value + int(added)) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


def _posterize(image: Image.Image, bits: float, _: Border) -> Image.Image:
    # Pillow refuses to keep no bit at all.
    return image if bits >= 8 else ImageOps.posterize(image, max(1, int(bits)))


OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, _, __: image,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": lambda image, factor, _: ImageEnhance.Brightness(image).enhance(factor),
    "color": lambda image, factor, _: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor, _: ImageEnhance.Contrast(image).enhance(factor),
    "sharpness": lambda image, factor, _: ImageEnhance.Sharpness(image).enhance(factor),
    "posterize": _posterize,
    "solarize": lambda image, threshold, _: ImageOps.solarize(image, threshold),  # type: ignore[arg-type]
    "solarize_add": _solarize_add,
    "auto_contrast": lambda image, _, __: ImageOps.autocontrast(image),
    "equalize": lambda image, _, __: ImageOps.equalize(image),
    "invert": lambda image, _, __: ImageOps.invert(image),
}
"""By name; the number is a factor, px, degrees, bits, or a grey value, and not always used."""
