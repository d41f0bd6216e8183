"""CIFAR and MNIST from archives made here, in the publishers' formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo.config import DataConfig
from zoo.data.builtin import _archives, torchvision_splits
from zoo.data.builtin._archives import CIFAR, IDX, Archive, read_idx
from zoo.data.datasets import Source
from zoo.data.sources import open_source
from zoo.errors import DataError
from zoo.registry import default_registry

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def records(labels: np.ndarray, pixels: np.ndarray, label_bytes: int) -> bytes:
    columns = [labels[:, None]] * label_bytes
    columns[0] = 0 * labels[:, None] if label_bytes == 2 else labels[:, None]
    return np.hstack([*columns, pixels.reshape(len(pixels), -1)]).astype(np.uint8).tobytes()


def cifar_members(name: str) -> dict[str, bytes]:
    layout = CIFAR[name]
    content = records(LABELS, PIXELS, layout.label_bytes)
    files = [file for files in layout.members.values() for file in files]
    return {
        layout.names: "\n".join(f"class {n}" for n in range(10)).encode() + b"\n\n"
    } | dict.fromkeys(files, content)


def idx(values: np.ndarray) -> bytes:
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Put a CIFAR archive where it belongs, as if it had been published."""

    def place_(name: str, content: bytes) -> Path:
        published = Archive(CIFAR[name].archive.url, hashlib.md5(content).hexdigest())
        monkeypatch.setitem(_archives.CIFAR, name, replace(CIFAR[name], archive=published))
        path = tmp_path / name / published.file_name
        path.parent.mkdir()
        path.write_bytes(content)
        return path

    return place_


@pytest.mark.parametrize(("name", "files"), [("cifar10", 5), ("cifar100", 1)])
def test_cifar_is_read_from_its_binary_archive(
    place: Callable[[str, bytes], Path], tmp_path: Path, name: str, files: int
) -> None:
    place(name, tar_of(cifar_members(name)))

    splits = torchvision_splits(name=name, root=tmp_path / name, download=False)

    assert (len(splits["train"]), len(splits["test"])) == (12 * files, 12)
    sample = splits["test"].load(7)
    assert np.array_equal(sample.image.numpy(), PIXELS[7])
    assert sample.targets == {"labels": 7}
    assert splits["test"].classes == tuple(f"class {n}" for n in range(10))
    assert splits["test"].describe(7) == f"{name} test[7]"


def test_another_md5_is_refused(place: Callable[[str, bytes], Path], tmp_path: Path) -> None:
    path = place("cifar10", tar_of(cifar_members("cifar10")))
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(DataError, match="is not what was published") as caught:
        torchvision_splits(name="cifar10", root=tmp_path / "cifar10", download=False)

    assert "--download" in caught.value.cure


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda members: members.pop("cifar-10-batches-bin/test_batch.bin"), "has no .*test_batch"),
        (lambda members: members.update({"cifar-10-batches-bin/test_batch.bin": b"abc"}),
         "no whole number"),
        (lambda members: members.update({"cifar-10-batches-bin/batches.meta.txt": b"one\n"}),
         "beyond its 1 classes"),
    ],
)  # fmt: skip
def test_an_archive_that_holds_something_else_is_refused(
    place: Callable[[str, bytes], Path],
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], object],
    cause: str,
) -> None:
    members = cifar_members("cifar10")
    change(members)
    place("cifar10", tar_of(members))

    with pytest.raises(DataError, match=cause):
        torchvision_splits(name="cifar10", root=tmp_path / "cifar10", download=False)


def test_a_link_in_an_archive_is_not_followed(
    place: Callable[[str, bytes], Path], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("cifar-10-batches-bin/batches.meta.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    place("cifar10", buffer.getvalue())

    with pytest.raises(DataError, match="no file of the expected size"):
        torchvision_splits(name="cifar10", root=tmp_path / "cifar10", download=False)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    published = {}
    for split, archives in IDX[name].items():
        contents = [gzip.compress(idx(PIXELS[:, 0])), gzip.compress(idx(LABELS))]
        published[split] = tuple(
            Archive(archive.url, hashlib.md5(content).hexdigest())
            for archive, content in zip(archives, contents, strict=True)
        )
        for archive, content in zip(archives, contents, strict=True):
            (tmp_path / name / archive.file_name).write_bytes(content)
    monkeypatch.setitem(_archives.IDX, name, published)

    splits = torchvision_splits(name=name, root=tmp_path / name, download=False)

    sample = splits["train"].load(3)
    assert np.array_equal(sample.image.numpy(), PIXELS[3, :1])
    assert sample.targets == {"labels": 3}
    assert len(splits["test"].classes) == 10


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x00\x0d\x01\x00\x00\x00\x01abcd", idx(PIXELS[0])[:-1], idx(PIXELS[0]) + b"x",
     b"\x00\x00\x08\x03\xff\xff\xff\xff", b"\x00\x00\x08\xff\x00"],
)  # fmt: skip
def test_damaged_idx_files_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"IDX|header says"):
        read_idx(content, Path("images.gz"))


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_without_download_it_is_said_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is missing") as caught:
        torchvision_splits(name=name, root=tmp_path / name, download=False)

    assert "--download" in caught.value.cure
    assert "http" in caught.value.cure
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = Archive("http://127.0.0.1:9/cifar.tar.gz", "0" * 32)
    monkeypatch.setitem(_archives.CIFAR, "cifar10", replace(CIFAR["cifar10"], archive=unreachable))

    with pytest.raises(DataError, match="could not be downloaded") as caught:
        torchvision_splits(name="cifar10", root=tmp_path / "cifar10", download=True)

    assert "http://127.0.0.1:9/cifar.tar.gz" in caught.value.cure
    assert not list(tmp_path.rglob("*.gz"))


@pytest.mark.parametrize("name", ["oxford-pets", "food101", "flowers102"])
def test_photo_sets_that_are_not_here_ask_for_download(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name} in .*not found") as caught:
        torchvision_splits(name=name, root=tmp_path / name, download=False)

    assert "--download" in caught.value.cure


def test_flowers_ask_for_scipy_before_they_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.data.builtin._torchvision.find_spec", lambda _: None)

    with pytest.raises(DataError, match="flowers102 needs scipy") as caught:
        torchvision_splits(name="flowers102", root=tmp_path / "flowers102", download=True)

    assert caught.value.cure == "pip install 'zoo-core[datasets]'"
    assert list(tmp_path.iterdir()) == []


def test_pets_are_read_from_torchvisions_layout(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    folder = tmp_path / "oxford-pets" / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "trainval.txt").write_text("Beagle_1 2 2 1\nbirman_1 1 1 1\n")
    (folder / "annotations" / "test.txt").write_text("Beagle_2 2 2 1\nbirman_2 1 1 1\n")
    for name in ("Beagle_1", "birman_1", "Beagle_2", "birman_2"):
        write_image(folder / "images" / f"{name}.jpg")

    splits = torchvision_splits(name="oxford-pets", root=tmp_path / "oxford-pets", download=False)

    assert splits["train"].classes == ("Birman", "Beagle")
    assert splits["train"].load(0).targets == {"labels": 1}
    assert splits["test"].describe(0) == str(folder / "images" / "Beagle_2.jpg")


def test_imagenet_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ImageNet is not in .*ILSVRC2012_img_train.tar") as caught:
        torchvision_splits(name="imagenet", root=tmp_path / "imagenet", download=True)

    assert "train/WNID" in caught.value.cure


def test_a_part_of_imagenet_is_not_taken_for_it(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    for name in ("train/n01440764", "train/n01443537", "val/n01440764", "val/n01443537"):
        write_image(tmp_path / "imagenet" / name / "1.png")

    with pytest.raises(DataError, match="has 2 classes, and ImageNet has 1000"):
        torchvision_splits(name="imagenet", root=tmp_path / "imagenet", download=False)


def test_a_registered_archive_is_a_source(
    place: Callable[[str, bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = place("cifar10", tar_of(cifar_members("cifar10")))
    (tmp_path / "cache" / "data" / "core").mkdir(parents=True)
    path.parent.rename(tmp_path / "cache" / "data" / "core" / "cifar10")

    source: Source = open_source(
        "cifar10", registry=default_registry(), data=DataConfig(), message=lambda _: None
    )

    assert sorted(source.splits) == ["train", "val"]
    assert len(source.splits["val"]) == 12
