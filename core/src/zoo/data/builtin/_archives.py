"""CIFAR and MNIST out of their publishers' own archives: binary records, nothing to unpickle.

Nothing is unpacked to the disk: the members that are needed are read from the archive, whose
published MD5 is checked each time.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.datasets import Resident
from zoo.errors import DataError

_CIFAR_PIXELS = 3 * 32 * 32
_IDX_UINT8 = 8
_MAX_MEMBER_BYTES = 1 << 28
"""Above what the largest file has; what a damaged or hostile archive says may be anything."""


@dataclass(frozen=True)
class Archive:
    """A file to download.

    Attributes:
        url: where the publisher, or a mirror, serves it.
        md5: as published.
    """

    url: str
    md5: str

    @property
    def file_name(self) -> str:
        """The last part of the URL."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class CifarLayout:
    """One of the two CIFAR archives.

    Attributes:
        archive: the "binary version" of https://www.cs.toronto.edu/~kriz/cifar.html.
        members: of the archive, by split.
        names: the member that lists the classes.
        label_bytes: before each image's pixels; the last one is the class.
    """

    archive: Archive
    members: Mapping[str, tuple[str, ...]]
    names: str
    label_bytes: int


CIFAR = {
    "cifar10": CifarLayout(
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
        ),
        {
            "train": tuple(f"cifar-10-batches-bin/data_batch_{n}.bin" for n in range(1, 6)),
            "test": ("cifar-10-batches-bin/test_batch.bin",),
        },
        "cifar-10-batches-bin/batches.meta.txt",
        label_bytes=1,
    ),
    "cifar100": CifarLayout(
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
        ),
        {"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
        "cifar-100-binary/fine_label_names.txt",
        label_bytes=2,
    ),
}

_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
IDX: dict[str, dict[str, tuple[Archive, Archive]]] = {
    "mnist": {
        "train": (
            Archive(_MNIST_URL + "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Archive(_MNIST_URL + "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ),
        "test": (
            Archive(_MNIST_URL + "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            Archive(_MNIST_URL + "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    },
    "fashion-mnist": {
        "train": (
            Archive(
                _FASHION_URL + "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"
            ),
            Archive(
                _FASHION_URL + "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"
            ),
        ),
        "test": (
            Archive(_FASHION_URL + "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            Archive(_FASHION_URL + "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    },
}
"""Images and labels by data set and split; the MNIST mirror is torchvision's."""
IDX_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}


def fetch(archive: Archive, folder: Path, *, download: bool) -> Path:
    """The archive's verified file in ``folder``.

    Raises:
        DataError: it is not there and was not to be downloaded, there is no network, or its MD5
            is another; says where to get it and where to put it.
    """
    path = folder / archive.file_name
    cure = f"Or fetch {archive.url} yourself, and put it there."
    if not path.is_file():
        if not download:
            raise DataError(f"{path} is missing", f"Add --download to fetch it. {cure}")
        from torchvision.datasets.utils import download_url

        try:
            download_url(archive.url, folder, filename=path.name, md5=archive.md5)
        except (OSError, RuntimeError) as error:
            path.unlink(missing_ok=True)
            raise DataError(f"{archive.url} could not be downloaded: {error}", cure) from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        raise DataError(
            f"{path} is not what was published: its MD5 is {found}, not {archive.md5}",
            "Delete it, and add --download to fetch it again.",
        )
    return path


def read_cifar(name: str, path: Path) -> dict[str, Resident]:
    """The splits "train" and "test" of a CIFAR archive.

    Each record is one or two bytes of label and 3 x 32 x 32 bytes of pixels, by channel.
    """
    layout = CIFAR[name]
    with tarfile.open(path) as archive:
        text = _member(archive, layout.names, path).decode("utf-8")
        classes = tuple(line.strip() for line in text.splitlines() if line.strip())
        return {
            split: _cifar_split(
                f"{name} {split}",
                b"".join(_member(archive, member, path) for member in members),
                layout.label_bytes,
                classes,
            )
            for split, members in layout.members.items()
        }


def read_idx(content: bytes, path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format: two zeros, type, dimensions, big-endian sizes, data.

    Raises:
        DataError: the header says something else than the content has.
    """
    start = 4 + 4 * content[3] if len(content) >= 4 else 4
    if len(content) < start or content[:3] != bytes([0, 0, _IDX_UINT8]):
        raise DataError(f"{path} is no IDX file of bytes", "Delete it, and download it again.")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if len(values) != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{path} has {len(values)} values, and its header says {shape}",
            "Delete it, and download it again.",
        )
    return values.reshape(shape)


def read_mnist(name: str, folder: Path, *, download: bool) -> dict[str, Resident]:
    """The splits "train" and "test" of four IDX files."""
    splits = {}
    for split, archives in IDX[name].items():
        images, labels = (
            _gunzip_idx(fetch(archive, folder, download=download)) for archive in archives
        )
        splits[split] = Resident(
            name=f"{name} {split}",
            images=torch.from_numpy(images[:, None].copy()),
            targets={"labels": torch.from_numpy(labels.astype(np.int64))},
            classes=IDX_CLASSES[name],
        )
    return splits


def _gunzip_idx(path: Path) -> NDArray[np.uint8]:
    with gzip.open(path) as file:
        return read_idx(file.read(_MAX_MEMBER_BYTES), path)


def _member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getmember(name)
    except KeyError:
        raise DataError(f"{path} has no {name}", "Delete it, and download it again.") from None
    file = archive.extractfile(info) if info.isfile() and info.size <= _MAX_MEMBER_BYTES else None
    if file is None:
        raise DataError(f"{name} in {path} is no file of the expected size")
    return file.read()


def _cifar_split(name: str, content: bytes, label_bytes: int, classes: tuple[str, ...]) -> Resident:
    record = label_bytes + _CIFAR_PIXELS
    if not content or len(content) % record:
        raise DataError(f"{name}: {len(content)} bytes are no whole number of {record}-byte images")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= len(classes):
        raise DataError(f"{name}: label {labels.max()} is beyond its {len(classes)} classes")
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).copy()
    return Resident(
        name=name,
        images=torch.from_numpy(images),
        targets={"labels": torch.from_numpy(labels)},
        classes=classes,
    )
