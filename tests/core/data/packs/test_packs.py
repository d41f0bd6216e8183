"""Packs: what went in comes out, nothing half-written looks whole, and damage is found."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn import functional

from zoo.cli.data import data
from zoo.config import DataConfig
from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import FileDataset, Source
from zoo.data.loading import Loader, evaluation_batches
from zoo.data.masks import MaskedFiles
from zoo.data.packs import Packing, PackResult
from zoo.data.packs import _write as writing
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError, RunFolderError, StorageError, UsageError
from zoo.registry import default_registry
from zoo.runs import folder_lock
from zoo.structures import Batch
from zoo.workflows import pack_data

RAW = Packing(image_format="raw")


def opened(path: Path | str, *, channels: int = 3, undivided: bool = True) -> Source:
    return open_source(
        str(path),
        registry=default_registry(),
        data=DataConfig(),
        message=lambda _: None,
        channels=channels,
        undivided=undivided,
    )


def pack(source: Path | str, output: Path, packing: Packing = RAW, **options: object) -> PackResult:
    return pack_data(str(source), output, packing=packing, message=lambda _: None, **options)


def everything(path: Path, **options: int) -> FileDataset:
    (dataset,) = opened(path, **options).splits.values()
    assert isinstance(dataset, FileDataset)
    return dataset


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def images(dataset: FileDataset) -> list[object]:
    return [dataset.load(index).image.tolist() for index in range(len(dataset))]


def jpeg(size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    width, height = size
    across = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    pixels = np.stack([across, across // 2, across[:, ::-1]], -1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def splits(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Train and val of two classes, three and two images each, all of one size."""
    root = tmp_path / "splits"
    for number, name in enumerate(
        f"{split}/{kind}/{n}.png"
        for split, count in (("train", 3), ("val", 3))
        for kind in ("cat", "dog")
        for n in range(count)
    ):
        write_image(root / name, number)
    return root


@pytest.fixture
def boxes(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """A COCO file of three images of 60 x 40 px: two boxes, none, and a crowd."""
    root = tmp_path / "boxes"
    images = [
        {"id": n, "file_name": write_image(root / f"{n}.png", n, (60, 40)).name,
         "width": 60, "height": 40}
        for n in range(3)
    ]  # fmt: skip
    objects = [(0, [3, 4, 30, 20], 0), (0, [10.5, 0, 7, 39], 0), (2, [0, 0, 60, 40], 1)]
    annotations = [
        {"id": n, "image_id": image, "category_id": 1 + n % 2, "bbox": box, "iscrowd": crowd,
         "area": 1}
        for n, (image, box, crowd) in enumerate(objects)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "labels.json").write_text(json.dumps(content))
    return root / "labels.json"


@pytest.fixture
def masks(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Four images of 60 x 40 px with masks of three classes."""
    root = tmp_path / "masks"
    for number in range(4):
        write_image(root / "images" / f"{number}.png", number, (60, 40))
        mask = np.random.default_rng(number).integers(0, 3, (40, 60)).astype(np.uint8)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


def test_raw_images_that_need_no_resize_are_those_of_the_source(photos: Path) -> None:
    pack(photos, photos.parent / "pack")

    source, packed = everything(photos), everything(photos.parent / "pack")
    assert list(packed.names) == list(source.names)
    assert packed.classes == source.classes
    assert torch.equal(packed.labels, source.labels)
    assert images(packed) == images(source)


def test_raw_images_are_resized_as_torch_resizes_the_decoded_ones(photos: Path) -> None:
    pack(photos, photos.parent / "pack", Packing(image_format="raw", size_px=24))

    image, packed = (everything(path).load(3).image for path in (photos, photos.parent / "pack"))
    expected = functional.interpolate(image[None], (34, 24), mode="bilinear", antialias=True)[0]
    assert image.shape == (3, 47, 33)
    assert torch.equal(packed, expected)


def test_small_jpegs_are_copied_byte_for_byte_and_others_are_reduced(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {"a/small.jpg": jpeg((48, 32), exif=exif), "b/large.jpg": jpeg((120, 80))}
    for name, content in files.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        (tmp_path / "src" / name).write_bytes(content)

    result = pack(tmp_path / "src", tmp_path / "pack", Packing(size_px=40))

    source, packed = everything(tmp_path / "src"), everything(tmp_path / "pack")
    small, large = packed.load(0).image, packed.load(1).image
    assert result.copied == 1
    assert (tmp_path / "pack" / "all.images").read_bytes().startswith(files["a/small.jpg"])
    assert torch.equal(small, source.load(0).image)
    assert large.shape == (3, 40, 60)
    expected = functional.interpolate(
        source.load(1).image[None], (40, 60), mode="bilinear", antialias=True
    )[0]
    assert (large.float() - expected.float()).abs().mean() < 3


@pytest.mark.parametrize("layout", ["", "packed:"])
def test_a_pack_is_a_source_whose_drawn_split_is_the_one_of_its_source(
    photos: Path, layout: str
) -> None:
    pack(photos, photos.parent / "pack", Packing())

    source = opened(photos, undivided=False)
    packed = opened(f"{layout}{photos.parent / 'pack'}", undivided=False)
    assert packed.layout == "packed"
    assert packed.classes == source.classes
    assert list(packed.splits["train"].names) == list(source.splits["train"].names)
    assert list(packed.splits["val"].names) == list(source.splits["val"].names)
    assert torch.equal(packed.splits["val"].labels, source.splits["val"].labels)


def test_splits_of_the_source_stay(splits: Path) -> None:
    result = pack(splits, splits.parent / "pack")

    assert result.splits == {"train": 6, "val": 6}
    assert opened(splits.parent / "pack").splits.keys() == {"train", "val"}


def test_boxes_move_with_their_images_and_all_else_of_them_stays(boxes: Path) -> None:
    pack(boxes, boxes.with_name("whole"))
    pack(boxes, boxes.with_name("half"), Packing(size_px=20))

    source, whole, half = map(
        everything, (boxes, boxes.with_name("whole"), boxes.with_name("half"))
    )
    assert isinstance(whole, BoxedFiles)
    assert [len(objects) for objects in whole.objects] == [2, 0, 1]
    assert whole.truths() == source.truths()
    assert [of.boxes.tolist() for of in half.objects] == [
        (of.boxes / 2).tolist() for of in source.objects
    ]
    assert [(of.labels.tolist(), of.crowd.tolist()) for of in half.objects] == [
        (of.labels.tolist(), of.crowd.tolist()) for of in source.objects
    ]
    assert half.load(0).image.shape == (3, 20, 30)


def test_masks_are_kept_without_loss_and_reduced_by_whole_pixels(masks: Path) -> None:
    pack(masks, masks.with_name("whole"))
    pack(masks, masks.with_name("half"), Packing(size_px=20))

    source, whole, half = map(
        everything, (masks, masks.with_name("whole"), masks.with_name("half"))
    )
    assert isinstance(whole, MaskedFiles)
    assert np.array_equal(whole.pixels, source.pixels)
    assert torch.equal(whole.load(2).targets["masks"], source.load(2).targets["masks"])
    mask = half.load(2).targets["masks"]
    assert torch.equal(mask, source.load(2).targets["masks"][1::2, 1::2])
    assert mask.shape == half.load(2).image.shape[1:]
    assert half.pixels[2].tolist() == [*torch.bincount(mask.flatten(), minlength=3).tolist(), 0]


@pytest.mark.parametrize("name", ["a b", "naïve 画像", "tab\t", os.fsdecode(b"byte\xff")])
def test_names_survive(tmp_path: Path, write_image: Callable[..., Path], name: str) -> None:
    write_image(tmp_path / "src" / "x" / f"{name}.png")
    write_image(tmp_path / "src" / "y" / "plain.png", 1)

    pack(tmp_path / "src", tmp_path / "pack")

    assert everything(tmp_path / "pack").names == [f"x/{name}.png", "y/plain.png"]


def test_grey_is_packed_as_grey(tmp_path: Path) -> None:
    (tmp_path / "src" / "a").mkdir(parents=True)
    (tmp_path / "src" / "b").mkdir()
    (tmp_path / "src" / "a" / "1.jpg").write_bytes(jpeg((60, 40), "L"))
    (tmp_path / "src" / "b" / "1.jpg").write_bytes(jpeg((80, 40), "L"))

    pack(tmp_path / "src", tmp_path / "raw", Packing(image_format="raw", size_px=20), channels=1)
    pack(tmp_path / "src", tmp_path / "jpeg", Packing(size_px=20), channels=1)

    assert everything(tmp_path / "raw", channels=1).load(0).image.shape == (1, 20, 30)
    assert everything(tmp_path / "jpeg", channels=1).load(0).image.shape == (1, 20, 30)
    assert everything(tmp_path / "jpeg", channels=3).load(0).image.shape == (3, 20, 30)


def test_packing_again_with_other_threads_gives_the_same_bytes(photos: Path) -> None:
    pack(photos, photos.parent / "one", Packing(size_px=20), workers=1)
    pack(photos, photos.parent / "three", Packing(size_px=20), workers=3)

    one, three = (
        {path.name: path.read_bytes() for path in (photos.parent / output).iterdir()}
        for output in ("one", "three")
    )
    assert one == three
    assert one.keys() == {"all.images", "all.index", "pack.json"}


def test_loader_processes_read_a_pack_as_they_read_its_source(splits: Path) -> None:
    pack(splits, splits.parent / "pack")

    source, packed = map(train_batch, (splits, splits.parent / "pack"))

    assert torch.equal(source.images, packed.images)
    assert torch.equal(source.targets["labels"], packed.targets["labels"])


def train_batch(path: Path) -> Batch:
    loader = Loader(opened(path).splits["train"], None, workers=2, cache="none")
    (batch,) = loader.batches(evaluation_batches(6, batch_size=6))
    loader.close()
    return batch


def test_a_split_can_be_sent_to_a_process_that_was_started_afresh(photos: Path) -> None:
    pack(photos, photos.parent / "pack")
    dataset = everything(photos.parent / "pack")

    sent = pickle.dumps(dataset)

    assert len(sent) < (photos.parent / "pack" / "all.images").stat().st_size / 4
    assert torch.equal(pickle.loads(sent).load(5).image, dataset.load(5).image)


def test_an_image_outlives_the_data_set_that_it_was_read_from(photos: Path) -> None:
    pack(photos, photos.parent / "pack")

    image = everything(photos.parent / "pack").load(0).image

    assert torch.equal(image, everything(photos).load(0).image)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda root: flip(root / "train.index", -9), "train.index was altered"),
        (lambda root: flip(root / "pack.json", 150), "pack.json was altered|cannot be read"),
        (lambda root: os.truncate(root / "train.images", 100), "has 100 bytes, and had"),
        (lambda root: (root / "val.images").unlink(), "val.images is missing"),
        (lambda root: (root / "pack.json").write_text("{}"), "pack.json cannot be read"),
    ],
    ids=["index", "manifest", "cut off", "missing", "no manifest"],
)
def test_damage_is_found_at_opening(
    splits: Path, damage: Callable[[Path], None], cause: str
) -> None:
    pack(splits, splits.parent / "pack")
    damage(splits.parent / "pack")

    with pytest.raises(DataError, match=cause) as caught:
        opened(splits.parent / "pack")

    assert "zoo data pack" in caught.value.cure


def test_a_pack_of_a_later_version_is_refused(
    splits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.data.packs._files._VERSION", 2)
    pack(splits, splits.parent / "pack")
    monkeypatch.undo()

    with pytest.raises(DataError, match="is of version 2"):
        opened(splits.parent / "pack")


def test_a_flipped_byte_is_found_at_the_first_reading_of_its_image(splits: Path) -> None:
    pack(splits, splits.parent / "pack")
    flip(splits.parent / "pack" / "train.images", 5 * 3600 + 7)

    train = opened(splits.parent / "pack").splits["train"]

    train.load(4)
    with pytest.raises(DataError, match=r"train.images\[train/dog/2.png\].*was altered"):
        train.load(5)


def test_files_that_were_exchanged_are_found(splits: Path) -> None:
    root = splits.parent / "pack"
    pack(splits, root)
    (root / "train.images").rename(root / "x")
    (root / "val.images").rename(root / "train.images")
    (root / "x").rename(root / "val.images")

    with pytest.raises(DataError, match="was altered"):
        opened(root).splits["train"].load(0)


def test_the_check_of_a_good_pack_finds_nothing(masks: Path) -> None:
    pack(masks, masks.with_name("pack"))

    found = check_source(opened(masks.with_name("pack"), undivided=False))

    assert found.problems == []
    assert (
        found.splits["train"].pixels.keys()
        == check_source(opened(masks, undivided=False)).splits["train"].pixels.keys()
    )


def test_the_check_of_a_damaged_pack_names_file_and_image(splits: Path) -> None:
    pack(splits, splits.parent / "pack")
    flip(splits.parent / "pack" / "val.images", 0)

    result = CliRunner().invoke(data, ["check", str(splits.parent / "pack"), "--json"])

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert f"{splits.parent / 'pack' / 'val.images'} was altered" in found["problems"]
    assert any("val/cat/0.png" in name for name in found["bad_images"])


KILLED = """
import os, signal, sys
from pathlib import Path
from zoo.workflows import pack_data

def kill(done, total):
    if done == 15:
        os.kill(os.getpid(), signal.SIGKILL)

pack_data(sys.argv[1], Path(sys.argv[2]), message=print, progress=kill)
"""


def test_a_killed_pack_looks_like_none_and_the_next_begins_anew(photos: Path) -> None:
    output = photos.parent / "pack"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(photos), str(output)], check=False, timeout=300
    )
    assert killed.returncode == -signal.SIGKILL
    left = output.with_name("pack.partial")
    assert not output.exists()
    assert "pack.json" not in names_in(left)

    pack(photos, output)

    assert not left.exists()
    assert check_source(opened(output, undivided=False)).problems == []


def test_a_bad_image_ends_packing_and_leaves_nothing(photos: Path) -> None:
    (photos / "cat" / "3.png").write_bytes(b"<html>")

    with pytest.raises(DataError, match=r"3.png is no image"):
        pack(photos, photos.parent / "new" / "deep" / "pack")

    assert names_in(photos.parent) == ["photos"]


def test_bad_images_can_be_left_out(photos: Path) -> None:
    (photos / "cat" / "3.png").write_bytes(b"<html>")

    result = pack(photos, photos.parent / "pack", data=DataConfig(on_bad_image="skip"))

    assert result.splits == {"all": 19}
    assert list(result.bad_images) == [str(photos / "cat" / "3.png")]
    assert "cat/3.png" not in everything(photos.parent / "pack").names


def test_too_small_a_disk_is_said_before_anything_is_written(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9e9, 9e9, 1 << 20))
    monkeypatch.setattr(writing, "_write_split", _never)

    with pytest.raises(StorageError, match=r"disk is full.*needed") as caught:
        pack(photos, photos.parent / "pack")

    assert caught.value.exit_code == 74
    assert names_in(photos.parent) == ["photos"]


def _never(*_: object) -> None:
    raise AssertionError("something would have been written")


def test_a_disk_that_fills_up_leaves_nothing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, block: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.GrowingFile, "add", full)

    with pytest.raises(StorageError, match="the disk is full"):
        pack(photos, photos.parent / "pack")

    assert names_in(photos.parent) == ["photos"]


def test_a_folder_that_is_not_empty_stays_as_it_is(photos: Path) -> None:
    output = photos.parent / "pack"
    output.mkdir()
    (output / "thesis.tex").touch()

    with pytest.raises(UsageError, match="is not an empty folder"):
        pack(photos, output)

    assert names_in(output) == ["thesis.tex"]


@pytest.mark.parametrize("target", ["nothing", "empty"])
def test_a_link_is_refused_before_the_work_since_no_folder_can_take_its_place(
    photos: Path, target: str
) -> None:
    (photos.parent / "empty").mkdir()
    (photos.parent / "pack").symlink_to(target)

    with pytest.raises(UsageError, match="is not an empty folder"):
        pack(photos, photos.parent / "pack")

    assert sorted(names_in(photos.parent)) == ["empty", "pack", "photos"]


@pytest.mark.parametrize("output", ["", ".", "..", "/"])
def test_an_output_needs_a_name(
    photos: Path, output: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    with pytest.raises(UsageError, match="is no name for a new folder"):
        pack(photos, Path(output))


def test_a_pack_among_the_classes_of_its_source_is_refused(photos: Path) -> None:
    before = sorted(names_in(photos))

    with pytest.raises(UsageError, match="lies in the source"):
        pack(photos, photos / "pack")

    assert sorted(names_in(photos)) == before


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"image_format": "png"}, "packs of 'png'"),
        ({"size_px": 0}, "reduced to 0 px"),
        ({"quality": 101}, "no quality 101"),
    ],
)
def test_a_packing_that_cannot_be_is_refused(options: dict[str, object], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        Packing(**options)


def test_an_empty_folder_may_be_given(photos: Path) -> None:
    (photos.parent / "pack").mkdir()

    pack(photos, photos.parent / "pack")

    assert len(everything(photos.parent / "pack")) == 20


def test_what_no_pack_has_left_is_not_written_over(photos: Path) -> None:
    theirs = photos.parent / "pack.partial" / "thesis.tex"
    theirs.parent.mkdir()
    theirs.write_text("x")

    with pytest.raises(UsageError, match="holds something else"):
        pack(photos, photos.parent / "pack")

    assert theirs.read_text() == "x"


def test_two_cannot_write_one_pack(photos: Path) -> None:
    (photos.parent / "pack.partial").mkdir()

    with (
        folder_lock(photos.parent / "pack.partial" / "pack.lock"),
        pytest.raises(RunFolderError, match="in use"),
    ):
        pack(photos, photos.parent / "pack")


def test_data_in_memory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be packed"):
        pack("digits", tmp_path / "pack")

    assert names_in(tmp_path) == []


def test_transparency_is_refused_as_jpeg_and_packed_raw(photos: Path) -> None:
    with pytest.raises(DataError, match="transparency"):
        pack(photos, photos.parent / "jpeg", Packing(), channels=4)
    pack(photos, photos.parent / "raw", channels=4)

    assert everything(photos.parent / "raw", channels=4).load(0).image.shape[0] == 4


def test_the_verb_says_what_it_wrote(photos: Path) -> None:
    output = photos.parent / "pack"
    command = ["pack", str(photos), "--output", str(output), "--size", "20", "--format", "raw"]

    result = CliRunner().invoke(data, [*command, "--json"])

    written = json.loads(result.stdout)
    assert result.exit_code == 0
    assert written["splits"] == {"all": 20}
    assert written["size_bytes"] == sum(
        path.stat().st_size for path in output.iterdir() if path.name != "pack.json"
    )
    assert written["source_fingerprint"] == everything_fingerprint(photos)


def everything_fingerprint(path: Path) -> str:
    return opened(path).fingerprint()


def test_the_verb_tells_people_how_to_use_it(photos: Path) -> None:
    result = CliRunner().invoke(data, ["pack", str(photos), "--output", str(photos) + "-pack"])

    assert result.exit_code == 0
    assert "20 images" in result.stdout
    assert f"--data {photos}-pack" in result.stdout
