"""Images with masks as pages of TIFF files."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.config import DataConfig
from zoo.data.datasets import Source
from zoo.data.decoding import decode_image
from zoo.data.masks import MaskedFiles
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry
from zoo.tasks import SegmentationTask

PAGES, HEIGHT, WIDTH = 5, 6, 8
Pixels = np.ndarray


def images(seed: int = 0, pages: int = PAGES) -> list[Pixels]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 256, (pages, HEIGHT, WIDTH), np.uint8))


def masks(pages: int = PAGES) -> list[Pixels]:
    """Of 0 and 255; the page of number n begins with n + 1 white columns."""
    return [
        np.tile(np.where(np.arange(WIDTH) <= n, 255, 0).astype(np.uint8), (HEIGHT, 1))
        for n in range(pages)
    ]


def save_stack(path: Path, pages: Sequence[Pixels], compression: str | None = None) -> None:
    first, *others = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=others, compression=compression)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images and masks in the form of ISBI 2012, with nothing but images to test on."""
    save_stack(tmp_path / "train-volume.tif", images())
    save_stack(tmp_path / "train-labels.tif", masks())
    save_stack(tmp_path / "test-volume.tif", images(1))
    return tmp_path


def opened(
    source: object,
    *,
    message: Callable[[str], None] = lambda _: None,
    channels: int = 3,
    **data: Any,
) -> Source:
    return open_source(
        str(source),
        registry=default_registry(),
        data=DataConfig(**data),
        message=message,
        channels=channels,
    )


def pages_of(source: Source) -> dict[str, str]:
    """The mask of each image, by name."""
    return {
        image: mask
        for split in source.splits.values()
        if isinstance(split, MaskedFiles)
        for image, mask in zip(split.names, split.mask_names, strict=True)
    }


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_page_is_an_image_and_its_mask_is_the_page_of_the_same_number(
    folder: Path, compression: str | None
) -> None:
    save_stack(folder / "train-volume.tif", images(), compression)
    whole = opened(folder, channels=1).whole
    assert whole is not None

    samples = [whole.load(index) for index in range(PAGES)]

    assert whole.describe(3) == str(folder / "train-volume.tif[3]")
    assert [sample.image[0].tolist() for sample in samples] == [page.tolist() for page in images()]
    assert [torch.as_tensor(sample.targets["masks"]).tolist() for sample in samples] == [
        (page // 255).tolist() for page in masks()
    ]


def test_stacks_are_recognised_split_by_page_and_what_is_left_out_is_said(folder: Path) -> None:
    said: list[str] = []

    source = opened(folder, message=said.append)

    assert source.layout == "stacks"
    assert source.place.startswith("stacks:")
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 4, "val": 1}
    assert pages_of(source) == {
        f"train-volume.tif[{n}]": f"train-labels.tif[{n}]" for n in range(5)
    }
    assert "test-volume.tif is left out: there is no stack of its masks." in said


def test_stacks_of_splits_are_these_splits(folder: Path) -> None:
    save_stack(folder / "val_images.tiff", images(2, pages=2))
    save_stack(folder / "val_masks.tiff", masks(2))

    source = opened(folder)

    assert {name: len(split) for name, split in source.splits.items()} == {"train": 5, "val": 2}


def test_images_and_masks_without_a_split_are_one_pool(tmp_path: Path) -> None:
    save_stack(tmp_path / "images.tif", images())
    save_stack(tmp_path / "masks.tif", masks())

    assert pages_of(opened(tmp_path)) == {f"images.tif[{n}]": f"masks.tif[{n}]" for n in range(5)}


def test_a_table_may_name_pages(folder: Path) -> None:
    lines = [
        f"train-volume.tif[{n}],train-labels.tif[{n}],{'val' if n else 'train'}" for n in (0, 4)
    ]
    (folder / "list.csv").write_text("\n".join(["image,mask,split", *lines]))

    source = opened(folder / "list.csv")

    assert source.splits["val"].load(0).image[0].tolist() == images()[4].tolist()


def test_the_check_finds_a_page_that_is_there_twice(folder: Path) -> None:
    first, *others = images()
    save_stack(folder / "train-volume.tif", [first, *others[:-1], first])

    found = check_source(opened(folder))

    twice = [str(folder / f"train-volume.tif[{n}]") for n in (0, PAGES - 1)]
    assert [sorted(group) for group in found.across_classes] == [twice]
    assert found.notes[1] == "test-volume.tif is left out: there is no stack of its masks"


def test_the_fingerprint_stays_when_stacks_move_and_changes_with_their_pages(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moved = shutil.copytree(folder, tmp_path_factory.mktemp("other") / "place")
    record = opened(folder).record()

    same = opened(moved).first_difference(record)
    save_stack(moved / "train-volume.tif", images(pages=4))
    save_stack(moved / "train-labels.tif", masks(4))

    assert same is None
    assert opened(moved).first_difference(record) == "train-volume.tif[4] is missing"


def _another_count(folder: Path) -> None:
    save_stack(folder / "train-labels.tif", masks(4))


def _two_volumes(folder: Path) -> None:
    save_stack(folder / "train-images.tif", images())


def _no_training(folder: Path) -> None:
    (folder / "train-volume.tif").rename(folder / "val-volume.tif")
    (folder / "train-labels.tif").rename(folder / "val-labels.tif")


def _a_split_and_none(folder: Path) -> None:
    save_stack(folder / "images.tif", images())
    save_stack(folder / "masks.tif", masks())


def _no_labels(folder: Path) -> None:
    (folder / "train-labels.tif").unlink()


def _empty(folder: Path) -> None:
    (folder / "train-labels.tif").write_bytes(b"")


def _cut_off(folder: Path) -> None:
    content = (folder / "train-volume.tif").read_bytes()
    (folder / "train-volume.tif").write_bytes(content[: len(content) // 2])


def _no_tiff(folder: Path) -> None:
    (folder / "train-volume.tif").write_text("pages")


@pytest.mark.parametrize(
    ("spoil", "cause", "cure"),
    [
        (
            _another_count,
            "volume.tif has 5 pages, and train-labels.tif has 4",
            "page of masks for each",
        ),
        (_cut_off, "volume.tif has 3 pages, and train-labels.tif has 5", "cut off"),
        (_two_volumes, "train-images.tif and train-volume.tif: which are the images", "Rename"),
        (_no_training, "has stacks of val", "train among them"),
        (_a_split_and_none, "has stacks of all, train", "one pair alone"),
        (_no_labels, "no stacks of images and masks", "Looked for train-volume.tif with"),
        (_empty, "train-labels.tif.* is empty", "Repair"),
        (_no_tiff, "train-volume.tif.* is no image", "Repair"),
    ],
)
def test_stacks_that_are_not_clear_are_refused(
    folder: Path, spoil: Callable[[Path], None], cause: str, cure: str
) -> None:
    spoil(folder)

    with pytest.raises(DataError, match=cause) as caught:
        opened(f"stacks:{folder}")

    assert cure in caught.value.cure


def test_a_page_of_another_size_is_named_and_can_be_left_out(folder: Path) -> None:
    save_stack(folder / "train-labels.tif", [*masks(4), np.zeros((HEIGHT, WIDTH + 1), np.uint8)])
    source = opened(folder)

    with pytest.raises(
        DataError, match=r"labels.tif\[4\] is 9 x 6 px, and its image .*\[4\] 8 x 6"
    ):
        SegmentationTask(classes=source.classes).check_data(source.splits)

    assert set(pages_of(opened(folder, on_bad_image="skip"))) == {
        f"train-volume.tif[{n}]" for n in range(4)
    }


def test_a_stack_alone_is_told_to_be_given_by_its_folder(folder: Path) -> None:
    with pytest.raises(DataError, match=r"train-volume\.tif is one file") as caught:
        opened(folder / "train-volume.tif")

    assert "Give its folder" in caught.value.cure


def test_a_page_that_a_file_has_not_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"train-volume.tif\[5\] is a page that the file has not"):
        decode_image(folder / "train-volume.tif[5]")
