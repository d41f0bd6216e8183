"""Splits of a pack: the data sets that were packed, with their images in one file."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.boxes import BoxedFiles, Objects, ObjectTable
from zoo.data.datasets import FileDataset, ImageFiles, Splits
from zoo.data.decoding import decode_image
from zoo.data.masks import MaskClasses, MaskedFiles
from zoo.data.packs._files import MANIFEST, Blocks, Index, Manifest, split_names
from zoo.errors import DataError
from zoo.structures import IGNORED, Sample


@dataclass(frozen=True, kw_only=True)
class Packed(FileDataset):
    """Images of a pack, under the names of their source; sizes in bytes are those in the pack.

    Attributes:
        manifest: of the pack.
        file: of the images.
        blocks: the images in it.
        numbers: (n,) of each image in the file.
        sizes_px: (n, 2) int64 height and width of each image.
        checksums: (n,) CRC-32 of each image.
    """

    manifest: Manifest
    file: str
    blocks: Blocks
    numbers: NDArray[np.int64]
    sizes_px: NDArray[np.int64]
    checksums: NDArray[np.uint32]

    def image(self, index: int) -> Tensor:
        """Decode one image, or see its raw pixels, whose channels are those of the pack."""
        try:
            content = self.blocks.read(int(self.numbers[index]))
            if self.manifest.image_format == "jpeg":
                return decode_image(content.numpy().tobytes(), channels=self.channels)
        except DataError as error:
            raise DataError(f"{self.describe(index)}: {error.cause}", error.cure) from error
        height, width = self.sizes_px[index].tolist()
        return content.view(height, width, self.manifest.channels).permute(2, 0, 1)

    def mark(self, index: int) -> str:
        """The checksum that the pack has of the image."""
        return f"CRC {int(self.checksums[index]):08x}"

    def describe(self, index: int) -> str:
        """The file of images, and the name of this one."""
        return f"{self.root / self.file}[{self.names[index]}]"

    def fingerprint(self) -> str:
        """SHA-256 of what file data sets compare, and of the images' checksums."""
        digest = hashlib.sha256(super().fingerprint().encode())
        by_name = np.argsort(np.array(self.names), kind="stable")
        digest.update(self.checksums[by_name].tobytes())
        return digest.hexdigest()

    def only(self, chosen: Iterable[int]) -> Self:
        """The split with these images, in this order."""
        at = np.array([int(index) for index in chosen], dtype=np.int64)
        return replace(
            super().only(at.tolist()),  # type: ignore[safe-super]
            numbers=self.numbers[at],
            sizes_px=self.sizes_px[at],
            checksums=self.checksums[at],
        )


@dataclass(frozen=True, kw_only=True)
class PackedImages(Packed, ImageFiles):
    """Packed images with a label each."""


@dataclass(frozen=True, kw_only=True)
class PackedBoxes(Packed, BoxedFiles):
    """Packed images with boxes."""


@dataclass(frozen=True, kw_only=True)
class PackedMasks(Packed, MaskedFiles):
    """Packed images with a mask each.

    Attributes:
        mask_blocks: the masks in their file.
    """

    mask_blocks: Blocks

    def load(self, index: int) -> Sample:
        """Decode one image and its mask, (h, w) uint8 of class numbers."""
        image = self.image(index)
        content = self.mask_blocks.read(int(self.numbers[index])).numpy()
        mask = np.frombuffer(bytearray(zlib.decompress(content.data)), np.uint8)
        return Sample(image, {"masks": torch.from_numpy(mask).view(image.shape[-2:])})


def holds_pack(root: Path) -> bool:
    """Whether a folder is a pack."""
    return (root / MANIFEST).is_file()


def read_pack(root: Path, *, channels: int) -> dict[str, Packed]:
    """The splits of a pack.

    Raises:
        DataError: it is none, or a file is missing, cut off or altered.
    """
    if not holds_pack(root):
        raise DataError(f"{root} is no pack: it has no {MANIFEST}", "Make one: `zoo data pack`.")
    manifest = Manifest.read(root)
    return {split: _read_split(root, manifest, split, channels) for split in manifest.splits}


def altered_files(splits: Splits) -> list[str]:
    """Sentences about files of packs whose SHA-256 is no longer what it was; reads all of them."""
    packs = {of.root: of.manifest for of in splits.values() if isinstance(of, Packed)}
    return [
        f"{root / name} was altered"
        for root, manifest in packs.items()
        for name in manifest.altered_files(root)
    ]


def _read_split(root: Path, manifest: Manifest, split: str, channels: int) -> Packed:
    index = manifest.index(root, split)
    file = f"{split}.images"
    common: dict[str, Any] = {
        "root": root,
        "names": split_names(index["names"]),
        "sizes_bytes": np.diff(index["ends"], prepend=0).tolist(),
        "classes": manifest.classes,
        "channels": channels,
        "manifest": manifest,
        "file": file,
        "blocks": Blocks(root / file, index["ends"], index["checksums"]),
        "numbers": np.arange(len(index["ends"])),
        "sizes_px": index["sizes"].astype(np.int64),
        "checksums": index["checksums"],
    }
    if manifest.kind == "labels":
        return PackedImages(**common, labels=torch.from_numpy(index["labels"]))
    if manifest.kind == "boxes":
        return PackedBoxes(**common, objects=_objects(index))
    return PackedMasks(**common, **_masks(root / f"{split}.masks", index, manifest.classes))


def _objects(index: Index) -> ObjectTable:
    columns = [index[name] for name in ("boxes", "labels", "crowd", "difficult")]
    return ObjectTable(Objects(*columns), index["objects"].astype(np.int64))


def _masks(path: Path, index: Index, classes: tuple[str, ...]) -> Mapping[str, Any]:
    sizes = np.diff(index["mask_ends"], prepend=0)
    numbers = {**{number: number for number in range(len(classes))}, IGNORED: IGNORED}
    return {
        "mask_names": [path.name] * len(sizes),
        "mask_sizes_bytes": sizes.tolist(),
        "mask_classes": MaskClasses(classes, numbers),
        "mask_blocks": Blocks(path, index["mask_ends"], index["mask_checksums"]),
        "pixels": index["pixels"],
    }
