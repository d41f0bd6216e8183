"""Images with masks: where people keep them, what the numbers in masks mean, and bad masks."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.config import DataConfig
from zoo.data.datasets import Source
from zoo.data.masks import MaskedFiles
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry
from zoo.structures import IGNORED
from zoo.tasks import SegmentationTask

HEIGHT, WIDTH = 6, 8
Opener = Callable[..., Source]
Values = np.ndarray


def values(*numbers: int, dtype: Any = np.uint8) -> Values:
    """A mask whose columns go through the numbers."""
    row = np.resize(np.array(numbers, dtype=dtype), WIDTH)
    return np.tile(row, (HEIGHT, 1))


def colours(*rgb: tuple[int, int, int]) -> Values:
    return np.array(rgb, dtype=np.uint8)[values(*range(len(rgb)))]


def save(path: Path, pixels: Values, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def save_image(path: Path, number: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    return save(path, np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture
def opened() -> Opener:
    def open_(source: object, **data: Any) -> Source:
        return open_source(
            str(source),
            registry=default_registry(),
            data=DataConfig(**data),
            message=lambda _text: None,
        )

    return open_


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images with masks of 0 and 1, of which the last is for the tests to spoil."""
    for number in range(4):
        save_image(tmp_path / f"images/{number}.png", number)
        save(tmp_path / f"masks/{number}.png", values(0, 1))
    return tmp_path


def replace_masks(folder: Path, *pixels: Values, suffix: str = ".png", **options: Any) -> None:
    """All masks anew; the given ones in turn."""
    for number in range(4):
        (folder / f"masks/{number}.png").unlink()
        save(folder / f"masks/{number}{suffix}", pixels[number % len(pixels)], **options)


def masks_of(source: Source) -> dict[str, torch.Tensor]:
    """Class numbers by the image's name."""
    return {
        split.names[index]: torch.as_tensor(split.load(index).targets["masks"])
        for split in source.splits.values()
        if isinstance(split, MaskedFiles)
        for index in range(len(split))
    }


def names_of(source: Source) -> dict[str, dict[str, str]]:
    """By split, the mask of each image."""
    return {
        name: dict(zip(split.names, split.mask_names, strict=True))
        for name, split in source.splits.items()
        if isinstance(split, MaskedFiles)
    }


# --- what the numbers mean -------------------------------------------------------------------


READABLE: dict[str, tuple[Callable[[], Values], tuple[str, ...], list[int]]] = {
    "0 and 1": (lambda: values(0, 1), ("background", "foreground"), [0, 1]),
    "0 and 255": (lambda: values(0, 255), ("background", "foreground"), [0, 1]),
    "0, 1 and 255": (lambda: values(0, 1, 255), ("background", "foreground"), [0, 1, IGNORED]),
    "0 to 3": (lambda: values(0, 1, 2, 3), ("background", "1", "2", "3"), [0, 1, 2, 3]),
    "16 bits, 0 and 65535": (
        lambda: values(0, 65535, dtype=np.uint16),
        ("background", "foreground"),
        [0, 1],
    ),
    "16 bits, 0 to 2": (
        lambda: values(0, 1, 2, dtype=np.uint16),
        ("background", "1", "2"),
        [0, 1, 2],
    ),
    "1 bit": (lambda: values(0, 1).astype(bool), ("background", "foreground"), [0, 1]),
    "grey RGB": (
        lambda: colours((0, 0, 0), (255, 255, 255)),
        ("background", "foreground"),
        [0, 1],
    ),
}


@pytest.mark.parametrize("kind", READABLE)
def test_numbers_that_say_what_they_mean_are_read(folder: Path, opened: Opener, kind: str) -> None:
    pixels, classes, numbers = READABLE[kind]
    replace_masks(folder, pixels())

    source = opened(folder)

    assert source.layout == "masks"
    assert source.classes == classes
    mask = masks_of(source)["images/0.png"]
    assert mask.dtype == torch.uint8
    assert mask.tolist() == values(*numbers).tolist()


@pytest.mark.parametrize(
    ("pixels", "suffix"),
    [
        (values(0, 1, dtype=np.float32), ".tif"),
        (values(0, 1, dtype=np.int32), ".tif"),
    ],
    ids=["float TIFF of whole numbers", "32-bit TIFF"],
)
def test_whole_numbers_of_other_types_are_read(
    folder: Path, opened: Opener, pixels: Values, suffix: str
) -> None:
    replace_masks(folder, pixels, suffix=suffix)

    assert masks_of(opened(folder))["images/0.png"].tolist() == values(0, 1).tolist()


@pytest.mark.parametrize("transparency", [None, 0], ids=["palette", "palette with alpha"])
def test_a_palette_image_is_its_indices_whatever_the_palette_shows(
    folder: Path, opened: Opener, transparency: int | None
) -> None:
    for number in range(4):
        mask = Image.fromarray(values(0, 1, 2), mode="P")
        mask.putpalette([10, 20, 30, 200, 0, 0, 10, 20, 30])
        options = {} if transparency is None else {"transparency": transparency}
        mask.save(folder / f"masks/{number}.png", **options)

    source = opened(folder)

    assert source.classes == ("background", "1", "2")
    assert masks_of(source)["images/0.png"].tolist() == values(0, 1, 2).tolist()


def test_an_opaque_alpha_channel_is_left_aside(folder: Path, opened: Opener) -> None:
    for number in range(4):
        mask = Image.fromarray(values(0, 1)).convert("LA")
        mask.save(folder / f"masks/{number}.png")

    assert masks_of(opened(folder))["images/0.png"].tolist() == values(0, 1).tolist()


@pytest.mark.parametrize(
    ("file", "text", "pixels", "numbers"),
    [
        ("classes.txt", "sky\nroad\n", values(0, 1), [0, 1]),
        ("classes.txt", "sky\nroad\n", values(0, 255), [0, 1]),
        ("classes.txt", "# mine\n7 sky\n9 road\n", values(7, 9), [0, 1]),
        ("classes.txt", "7 sky\n9 road\n3 ignored\n", values(7, 9, 3), [0, 1, IGNORED]),
        ("classes.txt", "0 sky\n1 road\n", values(0, 1, 255), [0, 1, IGNORED]),
        (
            "classes.txt",
            "0 0 0 sky\n128 64 128 road\n",
            colours((0, 0, 0), (128, 64, 128)),
            [0, 1],
        ),
        ("classes.txt", "0 0 0 sky\n128 64 128 road\n", colours((0, 0, 0)), [0]),
        (
            "label_colors.txt",
            "0 0 0\tsky\n128 64 128\troad\n",
            colours((128, 64, 128), (0, 0, 0)),
            [1, 0],
        ),
        ("class_dict.csv", "name,r,g,b\nsky,0,0,0\nroad,9,8,7\n", colours((9, 8, 7)), [1]),
        ("classes.csv", "value,name\n5,sky\n6,road\n", values(6, 5), [1, 0]),
    ],
)
def test_a_file_of_names_says_what_numbers_and_colours_mean(
    folder: Path, opened: Opener, file: str, text: str, pixels: Values, numbers: list[int]
) -> None:
    replace_masks(folder, pixels)
    (folder / file).write_text(text)

    source = opened(folder)

    assert source.classes == ("sky", "road")
    assert masks_of(source)["images/0.png"].tolist() == values(*numbers).tolist()


# --- masks that cannot be used ---------------------------------------------------------------


NUMBERS_THAT_SAY_NOTHING: dict[str, tuple[Callable[[], Values], str, str]] = {
    "a gap": (lambda: values(0, 1, 5), r"0 \(72 px\), 1 \(72 px\), 5 \(48 px\)", "classes.txt"),
    "no 0": (lambda: values(1, 2, 3), "1 .*2 .*3 .*do not say", "classes.txt"),
    "soft edges": (lambda: values(0, *range(20, 90, 10), 255), "do not say", "classes.txt"),
    "numbers of objects": (
        lambda: values(0, 26001, 26002, dtype=np.uint16),
        "26001",
        "classes.txt",
    ),
    "colours": (
        lambda: colours((0, 0, 0), (128, 64, 128)),
        "coloured, #000000 .*#804080",
        "RED GREEN BLUE NAME",
    ),
}


@pytest.mark.parametrize("kind", NUMBERS_THAT_SAY_NOTHING)
def test_numbers_that_do_not_say_what_they_mean_are_listed_with_counts_and_files(
    folder: Path, opened: Opener, kind: str
) -> None:
    pixels, cause, cure = NUMBERS_THAT_SAY_NOTHING[kind]
    replace_masks(folder, pixels())

    with pytest.raises(DataError, match=cause) as caught:
        opened(folder)

    assert "masks/0.png" in caught.value.cause
    assert re.search(cure, caught.value.cure)


@pytest.mark.parametrize("text", ["sky\nroad\n", "0 sky\n1 road\n", "value,name\n0,sky\n1,road\n"])
def test_a_number_that_the_file_of_names_has_not_is_listed(
    folder: Path, opened: Opener, text: str
) -> None:
    save(folder / "masks/3.png", values(0, 1, 7))
    (folder / ("classes.csv" if "," in text else "classes.txt")).write_text(text)

    with pytest.raises(DataError, match=r"7 \(12 px\), which no class is; 7 is in masks/3.png"):
        opened(folder)


def test_the_file_that_is_named_holds_the_number_that_is_strange(
    folder: Path, opened: Opener
) -> None:
    save(folder / "masks/2.png", values(*11 * [0], 2))
    save(folder / "masks/3.png", values(0, 1, 7))
    (folder / "classes.txt").write_text("sky\nroad\ncar\n")

    with pytest.raises(DataError, match=r"7 is in masks/3\.png"):
        opened(folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classes.csv", "a,b\n1,2\n", "name and value"),
        ("classes.txt", "\n", "names 0 classes"),
        ("classes.txt", "\n".join(f"c{n}" for n in range(300)), "names 300 classes"),
    ],
)
def test_a_file_of_names_that_says_nothing_is_refused(
    folder: Path, opened: Opener, file: str, text: str, message: str
) -> None:
    (folder / file).write_text(text)

    with pytest.raises(DataError) as caught:
        opened(folder)

    assert message in f"{caught.value.cause} {caught.value.cure}"


def _missing(path: Path) -> None:
    path.unlink()


def _of_other_size(path: Path) -> None:
    save(path, np.zeros((HEIGHT, WIDTH + 1), np.uint8))


def _turned(path: Path) -> None:
    save(path, values(0, 1).T.copy())


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut_off(path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH), np.uint8)).save(
        content, "PNG"
    )
    path.write_bytes(content.getvalue()[:-30])


def _no_image(path: Path) -> None:
    path.write_text("a mask")


def _jpeg(path: Path) -> None:
    path.unlink()
    save(path.with_suffix(".jpg"), values(0, 255))


def _jpeg_named_png(path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(values(0, 255)).save(content, "JPEG")
    path.write_bytes(content.getvalue())


def _webp(path: Path) -> None:
    path.unlink()
    Image.fromarray(values(0, 255)).convert("RGB").save(path.with_suffix(".webp"))


def _probabilities(path: Path) -> None:
    path.unlink()
    save(path.with_suffix(".tif"), values(0, 1).astype(np.float32) * 0.5)


def _not_a_number(path: Path) -> None:
    path.unlink()
    save(path.with_suffix(".tif"), np.full((HEIGHT, WIDTH), np.nan, np.float32))


def _negative(path: Path) -> None:
    path.unlink()
    save(path.with_suffix(".tif"), values(0, -1, dtype=np.int32))


def _cut_out(path: Path) -> None:
    alpha = Image.fromarray(values(0, 255))
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    image.putalpha(alpha)
    image.save(path)


def _pages(path: Path) -> None:
    path.unlink()
    page = Image.fromarray(values(0, 1))
    page.save(path.with_suffix(".tif"), save_all=True, append_images=[page, page])


def _cmyk(path: Path) -> None:
    path.unlink()
    Image.new("CMYK", (WIDTH, HEIGHT)).save(path.with_suffix(".tif"))


def _link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone.png"))


BAD_MASKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_missing, "images/3.png has no mask"),
    "another size": (_of_other_size, "9 x 6 px, and its image 3.png 8 x 6"),
    "turned": (_turned, "6 x 8 px, and its image 3.png 8 x 6"),
    "no bytes": (_empty, r"3.png is empty \(0 bytes\)"),
    "cut off": (_cut_off, "3.png is damaged"),
    "no image": (_no_image, "3.png is no image"),
    "JPEG": (_jpeg, "3.jpg is a JPEG file, which changes the numbers"),
    "JPEG named PNG": (_jpeg_named_png, "3.png is a JPEG file"),
    "WebP": (_webp, "3.webp is a WebP file"),
    "float TIFF of probabilities": (_probabilities, "no whole numbers, 0.5"),
    "float TIFF of NaN": (_not_a_number, "no whole numbers, nan"),
    "negative numbers": (_negative, "values from -1 to 0"),
    "a cut-out": (_cut_out, "transparent pixels"),
    "several pages": (_pages, "holds 3 pages"),
    "CMYK": (_cmyk, "colour mode CMYK"),
    "a link to nothing": (_link_to_nothing, "does not exist .a link to nothing"),
}


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_a_bad_mask_ends_the_run_before_it_begins_and_is_named(
    folder: Path, opened: Opener, kind: str
) -> None:
    spoil, cause = BAD_MASKS[kind]
    spoil(folder / "masks/3.png")
    source = opened(folder)
    task = SegmentationTask(classes=source.classes)

    with pytest.raises(DataError, match=cause) as caught:
        task.check_data(source.splits)

    assert "1 of 4 masks" in caught.value.cause
    assert "--on-bad-image skip" in caught.value.cure


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_a_bad_mask_and_its_image_can_be_left_out(folder: Path, opened: Opener, kind: str) -> None:
    spoil, cause = BAD_MASKS[kind]
    spoil(folder / "masks/3.png")

    source = opened(folder, on_bad_image="skip")

    assert set(masks_of(source)) == {f"images/{number}.png" for number in range(3)}
    assert [bool(re.search(cause, fault)) for fault in source.bad_images.values()] == [True]
    SegmentationTask(classes=source.classes).check_data(source.splits)


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_a_bad_mask_is_found_by_the_check(folder: Path, opened: Opener, kind: str) -> None:
    spoil, cause = BAD_MASKS[kind]
    spoil(folder / "masks/3.png")

    found = check_source(opened(folder))

    assert found.problems == ["1 image cannot be read"]
    assert re.search(cause, "".join(found.bad_images.values()))


def test_nothing_but_bad_masks_is_an_error(folder: Path, opened: Opener) -> None:
    for number in range(4):
        _empty(folder / f"masks/{number}.png")

    with pytest.raises(
        DataError, match=r"no mask of .* can be used: .*0.png is empty(?s:.*)one page"
    ):
        opened(folder)


def test_masks_of_one_class_are_refused_by_the_task(folder: Path, opened: Opener) -> None:
    replace_masks(folder, values(0))
    source = opened(folder)

    with pytest.raises(DataError, match="one class, 'background'"):
        SegmentationTask(classes=source.classes).check_data(source.splits)


def test_a_mask_that_is_ignored_as_a_whole_is_allowed(folder: Path, opened: Opener) -> None:
    save(folder / "masks/3.png", values(255))

    mask = masks_of(opened(folder))["images/3.png"]

    assert mask.unique().tolist() == [IGNORED]


def test_masks_without_an_image_are_told_and_found_by_the_check(
    folder: Path, opened: Opener
) -> None:
    save(folder / "masks/gone.png", values(0, 1))
    source = opened(folder)

    lines = SegmentationTask(classes=source.classes).check_data(source.splits)

    assert lines[-1] == "masks without an image: 1 (masks/gone.png)"
    assert check_source(source).problems == ["1 mask without an image: masks/gone.png"]


def test_a_mask_of_the_exact_name_comes_before_one_with_a_mark(
    folder: Path, opened: Opener
) -> None:
    save(folder / "masks/0_mask.png", values(1, 0))

    assert masks_of(opened(folder))["images/0.png"].tolist() == values(0, 1).tolist()


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["images/4.png"], ["masks/4_mask.png", "masks/4-mask.png"], "4.png has 2 masks"),
        (["images/0.bmp"], [], "have one mask, 0.png"),
        ([], ["labels/0.png"], "which are the masks"),
    ],
)
def test_pairs_that_are_not_clear_are_refused(
    folder: Path, opened: Opener, images: list[str], masks: list[str], message: str
) -> None:
    for image in images:
        save_image(folder / image)
    for mask in masks:
        save(folder / mask, values(0, 1))

    with pytest.raises(DataError, match=message):
        opened(folder)


def test_an_image_turned_by_its_exif_tag_has_the_size_that_is_seen(
    folder: Path, opened: Opener
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
    Image.fromarray(turned).save(folder / "images/3.jpg", exif=exif)
    (folder / "images/3.png").unlink()

    source = opened(folder)

    SegmentationTask(classes=source.classes).check_data(source.splits)
    assert masks_of(source)["images/3.jpg"].shape == (HEIGHT, WIDTH)


# --- where they lie --------------------------------------------------------------------------


PAIR = {"images/a.png": "masks/a.png"}
LAYOUTS: dict[str, tuple[dict[str, str], dict[str, dict[str, str]]]] = {
    "one name": ({f"images/{n}.png": f"masks/{n}.png" for n in range(5)}, {}),
    "Carvana": ({f"imgs/{n}.png": f"masks/{n}_mask.gif" for n in range(5)}, {}),
    "in the singular": ({f"image/{n}.png": f"label/{n}.png" for n in range(5)}, {}),
    "other words": ({f"Images/{n}.png": f"SegmentationClass/{n}.png" for n in range(5)}, {}),
    "prefixes": ({f"images/image_{n}.png": f"masks/mask_{n}.png" for n in range(5)}, {}),
    "deeper": ({f"images/x/{n}.png": f"masks/x/{n}_label.png" for n in range(5)}, {}),
    "one folder": ({f"{n}.png": f"{n}_mask.png" for n in range(5)}, {}),
    "splits inside": (
        {"images/train/a.png": "masks/train/a.png", "images/val/b.png": "masks/val/b.png"},
        {"train": {"images/train/a.png": "masks/train/a.png"}},
    ),
    "splits outside": (
        {"train/images/a.png": "train/masks/a.png", "valid/images/b.png": "valid/masks/b.png"},
        {"val": {"valid/images/b.png": "valid/masks/b.png"}},
    ),
    "masks beside": (
        {"train/a.png": "train_masks/a_mask.gif", "val/b.png": "val_masks/b_mask.gif"},
        {"train": {"train/a.png": "train_masks/a_mask.gif"}},
    ),
    "one folder for each split": (
        {"train/a.png": "train/a_mask.png", "val/b.png": "val/b_mask.png"},
        {"train": {"train/a.png": "train/a_mask.png"}},
    ),
    "Cityscapes' names": (
        {
            "images/train/x_leftImg8bit.png": "masks/train/x_gtFine_labelIds.png",
            "images/val/y_leftImg8bit.png": "masks/val/y_gtFine_labelIds.png",
        },
        {},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_arrangements_that_people_have_are_recognised(
    tmp_path: Path, opened: Opener, layout: str
) -> None:
    pairs, splits = LAYOUTS[layout]
    for image, mask in pairs.items():
        save_image(tmp_path / image)
        save(tmp_path / mask, values(0, 1))

    source = opened(tmp_path)

    found = names_of(source)
    assert source.layout == "masks"
    assert {k: v for split in found.values() for k, v in split.items()} == pairs
    assert {split: found[split] for split in splits} == splits


def test_pascal_voc_has_the_splits_of_its_lists(tmp_path: Path, opened: Opener) -> None:
    for name in "abcd":
        save_image(tmp_path / f"JPEGImages/{name}.jpg")
    for name in "abc":
        save(tmp_path / f"SegmentationClass/{name}.png", values(0, 1, 255))
    (tmp_path / "Annotations").mkdir()
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")

    source = opened(tmp_path)

    assert {split: sorted(pairs) for split, pairs in names_of(source).items()} == {
        "train": ["JPEGImages/a.jpg", "JPEGImages/b.jpg"],
        "val": ["JPEGImages/c.jpg"],
    }


@pytest.fixture
def by_class(tmp_path: Path) -> Path:
    """Four images with masks in two class folders; the last image shows no dog."""
    for number in range(4):
        save_image(tmp_path / f"images/{number}.png", number)
        save(tmp_path / f"masks/cat/{number}.png", values(0, 255, 0, 0))
        save(tmp_path / f"masks/dog/{number}.png", values(0, 0, 1, 0))
    (tmp_path / "masks/dog/3.png").unlink()
    return tmp_path


def test_masks_with_a_file_for_each_class_become_one(by_class: Path, opened: Opener) -> None:
    source = opened(by_class)

    masks = masks_of(source)

    assert source.classes == ("background", "cat", "dog")
    assert (
        names_of(source)["val"].items()
        <= {f"images/{n}.png": f"masks/*/{n}.png" for n in range(4)}.items()
    )
    assert masks["images/0.png"].tolist() == values(0, 1, 2, 0).tolist()
    assert masks["images/3.png"].tolist() == values(0, 1, 0, 0).tolist()
    assert check_source(source).problems == []


@pytest.mark.parametrize(
    ("mask", "cause"),
    [
        (values(0, 1, 0, 0), "dog/3.png claims 12 px that cat claims as well"),
        (values(0, 0, 1, 2), "dog/3.png has the number 1 beside 0 and 2"),
        (values(0, 1).T.copy(), "differ in size, .*dog/3.png"),
    ],
)
def test_files_of_classes_that_do_not_make_one_mask_are_named(
    by_class: Path, opened: Opener, mask: Values, cause: str
) -> None:
    save(by_class / "masks/dog/3.png", mask)
    source = opened(by_class)

    with pytest.raises(DataError, match=cause):
        SegmentationTask(classes=source.classes).check_data(source.splits)


def test_splits_have_the_same_class_folders(tmp_path: Path, opened: Opener) -> None:
    for split, name in (("train", "cat"), ("val", "dog")):
        save_image(tmp_path / f"{split}/images/0.png")
        save(tmp_path / f"{split}/masks/{name}/0.png", values(0, 1))

    with pytest.raises(DataError, match="different class folders: cat and dog"):
        opened(tmp_path)


def test_a_table_of_images_and_masks_is_read_with_its_splits(folder: Path, opened: Opener) -> None:
    lines = ["image,mask,split"]
    lines += [f"images/{n}.png,masks/{n}.png,{'val' if n else 'train'}" for n in range(4)]
    (folder / "list.csv").write_text("\n".join(lines))

    found = names_of(opened(folder / "list.csv"))

    assert found["train"] == {"images/0.png": "masks/0.png"}
    assert found["val"] == {f"images/{n}.png": f"masks/{n}.png" for n in (1, 2, 3)}


def test_held_out_images_are_drawn_by_the_split_seed_and_recorded(
    tmp_path: Path, opened: Opener
) -> None:
    for number in range(20):
        save_image(tmp_path / f"images/{number}.png", number)
        save(tmp_path / f"masks/{number}.png", values(0, 1))

    records = [opened(tmp_path, split_seed=seed).record() for seed in (0, 0, 1)]

    assert records[0] == records[1]
    assert records[0]["splits"]["val"] != records[2]["splits"]["val"]
    assert len(records[0]["splits"]["val"]) == 4
    assert records[0]["splits"]["val"][0][2].startswith("masks/")


def test_a_mask_that_changes_is_another_data_set_and_is_named(folder: Path, opened: Opener) -> None:
    record = opened(folder).record()
    save(folder / "masks/2.png", values(0, 1, 1, 0, 0, 0, 1), compress_level=0)

    difference = opened(folder).first_difference(record)

    assert difference is not None
    assert difference.startswith("images/2.png has another mask")


def test_the_check_counts_images_and_pixels_of_each_class(folder: Path, opened: Opener) -> None:
    replace_masks(folder, values(0), values(0, 1), values(0, 1), values(0, 0, 1, 255))

    found = check_source(opened(folder))

    splits = found.splits.values()
    assert sum(split.classes["background"] for split in splits) == 4
    assert sum(split.classes["foreground"] for split in splits) == 3
    assert sum(split.pixels["foreground"] for split in splits) == 24 + 24 + 12
    assert sum(split.pixels["ignored"] for split in splits) == 12
    assert found.notes[0] == "numbers in masks mean: 0 background, 1 foreground, 255 ignored"


def test_what_the_numbers_mean_is_said_when_data_are_opened(folder: Path) -> None:
    said: list[str] = []

    open_source(str(folder), registry=default_registry(), data=DataConfig(), message=said.append)

    assert said[:2] == [
        "Every mask is read once, to see what its numbers mean.",
        "Numbers in masks mean: 0 background, 1 foreground, 255 ignored.",
    ]


def test_shares_of_the_classes_are_told_before_training(folder: Path, opened: Opener) -> None:
    replace_masks(folder, values(0, 0, 0, 1))
    source = opened(folder)

    lines = SegmentationTask(classes=source.classes).check_data(source.splits)

    assert lines == [
        "train: background 75 %, foreground 25 %",
        "val: background 75 %, foreground 25 %",
    ]


def test_balanced_weights_count_every_class_alike(folder: Path, opened: Opener) -> None:
    replace_masks(folder, values(0, 0, 0, 1))
    source = opened(folder)
    task = SegmentationTask(classes=source.classes, class_weights="balanced")

    task.check_data(source.splits)

    assert task.options()["class_weights"] == pytest.approx([2 / 3, 2.0])


def test_reading_changes_no_file(folder: Path, opened: Opener) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}

    check_source(opened(folder))

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
