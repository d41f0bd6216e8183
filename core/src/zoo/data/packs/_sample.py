"""What a pack keeps of one image: reduced and encoded, with its mask, or its file as it is."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import FileDataset, ImageFiles
from zoo.data.decoding import read_bytes, split_page
from zoo.data.masks import MaskedFiles
from zoo.data.packs._files import ImageFormat
from zoo.data.packs._packed import Packed
from zoo.data.transforms import resize
from zoo.errors import UsageError
from zoo.structures import IGNORED

_JPEG = b"\xff\xd8\xff"
"""What the file of a JPEG begins with."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How images are packed.

    Attributes:
        image_format: "jpeg", or "raw" for pixels.
        size_px: that shorter sides are reduced to, where they are longer.
        quality: of images that are encoded as JPEG, from 1 to 100; colours at half resolution.

    Raises:
        UsageError: one of them cannot be.
    """

    image_format: ImageFormat = "jpeg"
    size_px: int = 256
    quality: int = 90

    def __post_init__(self) -> None:
        if self.image_format not in get_args(ImageFormat):
            raise UsageError(f"packs of {self.image_format!r} are not known", "Use jpeg or raw.")
        if self.size_px < 1:
            raise UsageError(f"images cannot be reduced to {self.size_px} px", "Use 1 or more.")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"JPEGs have no quality {self.quality}", "Use one from 1 to 100.")

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of this size gets."""
        shorter = min(height, width)
        if shorter <= self.size_px:
            return height, width
        return round(height * self.size_px / shorter), round(width * self.size_px / shorter)


@dataclass(frozen=True, slots=True)
class PackedSample:
    """One image, ready to be written.

    Attributes:
        blocks: bytes for each file of the split, by its suffix: "images", "masks".
        copied: whether the image is its file, byte for byte.
        columns: rows of the index, by column.
    """

    blocks: Mapping[str, bytes]
    copied: bool
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack_sample(dataset: FileDataset, index: int, packing: Packing) -> PackedSample:
    """Decode one image, reduce it with its targets, and encode it.

    Raises:
        DataError: it cannot be read.
    """
    sample = dataset.load(index)
    height, width = sample.image.shape[-2:]
    size = packing.size_of(height, width)
    own = None
    if packing.image_format == "jpeg" and size == (height, width):
        own = _jpeg_file(dataset, index)
    image = own or _encode(resize(sample.image, *size, "bilinear"), packing)
    blocks, columns = {"images": image}, {"sizes": np.array([size])}
    if isinstance(dataset, ImageFiles):
        columns["labels"] = dataset.labels[index : index + 1].numpy()
    elif isinstance(dataset, BoxedFiles):
        columns |= _box_columns(dataset, index, (size[0] / height, size[1] / width))
    elif isinstance(dataset, MaskedFiles):
        mask = _resize_mask(torch.as_tensor(sample.targets["masks"]), size).numpy()
        blocks["masks"] = zlib.compress(mask.tobytes())
        counts = np.bincount(mask.ravel(), minlength=IGNORED + 1)
        columns["pixels"] = np.array([[*counts[: len(dataset.classes)], counts[IGNORED]]])
    return PackedSample(blocks, own is not None, columns)


def _jpeg_file(dataset: FileDataset, index: int) -> bytes | None:
    """The file of an image, if that is a JPEG."""
    if isinstance(dataset, Packed) or split_page(dataset.path(index))[1] is not None:
        return None
    content = read_bytes(dataset.path(index))
    return content if content.startswith(_JPEG) else None


def _encode(image: Tensor, packing: Packing) -> bytes:
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    if packing.image_format == "raw":
        return pixels.tobytes()
    encoded = io.BytesIO()
    grey = pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(
        encoded, "JPEG", quality=packing.quality, subsampling="4:2:0"
    )
    return encoded.getvalue()


def _box_columns(
    dataset: BoxedFiles, index: int, factors: tuple[float, float]
) -> dict[str, NDArray[Any]]:
    """Of one image's objects, whose boxes move with its height and width."""
    objects = dataset.objects[index]
    down, across = factors
    boxes = objects.boxes.astype(np.float64) * [across, down, across, down]
    return {
        "objects": np.array([len(objects)]),
        "boxes": boxes.astype(np.float32),
        "labels": objects.labels,
        "crowd": objects.crowd,
        "difficult": objects.difficult,
    }


def _resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    if mask.shape == size:
        return mask
    nearest = functional.interpolate(mask[None, None].float(), size=size, mode="nearest-exact")
    return nearest[0, 0].to(torch.uint8)
