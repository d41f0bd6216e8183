"""Where images come from: names, class folders, tables; and what is said when they do not fit."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.cards import DatasetCard
from zoo.config import DataConfig
from zoo.data.datasets import Dataset, ImageFiles, ResidentDataset, Source, stratified_split
from zoo.data.files import natural_key
from zoo.data.sources import open_source, read_folders
from zoo.errors import DataError, UnknownNameError
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry, default_registry

Write = Callable[..., Path]


@dataclass
class Opener:
    """Opens sources and keeps what was said."""

    said: list[str] = field(default_factory=list)
    registry: Registry = field(default_factory=default_registry)

    def __call__(self, source: str | Path, **options: Any) -> Source:
        channels = options.pop("channels", 3)
        return open_source(
            str(source), registry=self.registry, data=DataConfig(**options),
            message=self.said.append, channels=channels,
        )  # fmt: skip


@pytest.fixture
def opened() -> Opener:
    return Opener()


def names(source: Source, split: str) -> list[str]:
    dataset = source.splits[split]
    assert isinstance(dataset, ImageFiles)
    return list(dataset.names)


def labelled(dataset: Dataset) -> dict[str, str]:
    assert isinstance(dataset, ImageFiles)
    return {
        name: dataset.classes[label]
        for name, label in zip(dataset.names, dataset.labels.tolist(), strict=True)
    }


# Digits


def test_digits_are_the_known_ones_in_the_known_split(opened: Opener) -> None:
    source = opened("digits")

    train, val = source.splits["train"], source.splits["val"]
    assert isinstance(train, ResidentDataset)
    assert isinstance(val, ResidentDataset)
    assert (len(train), len(val)) == (1437, 360)
    assert source.classes == tuple("0123456789")
    assert train.images.shape == (1437, 1, 8, 8)
    assert np.bincount(val.targets["labels"]).tolist() == [
        36, 37, 35, 37, 36, 36, 36, 36, 35, 36,
    ]  # fmt: skip
    assert source.card is not None
    assert source.card.settings["transforms"]["flip"] == 0.0
    assert source.fingerprint() == opened("digits", split_seed=9).fingerprint()


def test_digits_equal_scikit_learns(opened: Opener) -> None:
    source = opened("digits")

    rows = sorted(
        bytes([*image.flatten().tolist(), label])
        for dataset in source.splits.values()
        for image, label in zip(dataset.images, dataset.targets["labels"].tolist(), strict=True)
    )
    # Of ``sorted(round(counts * 255 / 16) + label)``, counts and labels as in load_digits().
    assert hashlib.sha256(b"".join(rows)).hexdigest() == DIGITS_SHA256


DIGITS_SHA256 = "10642b3877c4f499f514a91df7a6d33452906fa2f7d21d3d8e140dc001548bde"


# Class folders


def test_flat_folders_are_split_by_class_and_seed(photos: Path, opened: Opener) -> None:
    source = opened(photos)

    train, val = labelled(source.splits["train"]), labelled(source.splits["val"])
    assert source.layout == "folders"
    assert source.name == "photos"
    assert source.classes == ("cat", "dog")
    assert sorted(val.values()) == ["cat", "cat", "dog", "dog"]
    assert len(train) + len(val) == 20
    assert not train.keys() & val.keys()
    assert opened(photos).fingerprint() == source.fingerprint()
    assert names(opened(photos, split_seed=1), "val") != names(source, "val")
    assert "4 of 20 images are held out" in opened.said[0]


@pytest.mark.parametrize("val_name", ["val", "valid", "validation", "test", "Val", "Testing"])
@pytest.mark.parametrize("train_name", ["train", "Training"])
def test_folders_of_splits_are_known_by_their_names(
    tmp_path: Path, write_image: Write, opened: Opener, train_name: str, val_name: str
) -> None:
    for split in (train_name, val_name):
        for name in ("a", "b"):
            write_image(tmp_path / split / name / "1.png")

    source = opened(tmp_path)

    assert names(source, "train") == [f"{train_name}/a/1.png", f"{train_name}/b/1.png"]
    assert names(source, "val") == [f"{val_name}/a/1.png", f"{val_name}/b/1.png"]
    assert any("test split" in line for line in opened.said) == val_name.lower().startswith("test")


def test_three_splits_stay_three(tmp_path: Path, write_image: Write, opened: Opener) -> None:
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            write_image(tmp_path / split / name / "1.png")

    source = opened(tmp_path)

    assert sorted(source.splits) == ["test", "train", "val"]
    assert opened.said == []


def test_train_alone_is_split(tmp_path: Path, write_image: Write, opened: Opener) -> None:
    for name in ("a", "b"):
        for number in range(5):
            write_image(tmp_path / "train" / name / f"{number}.png")

    source = opened(tmp_path)

    assert (len(source.splits["train"]), len(source.splits["val"])) == (8, 2)


def test_classes_are_in_natural_order(tmp_path: Path, write_image: Write, opened: Opener) -> None:
    for name in ("class10", "class9", "Zebra", "ape"):
        write_image(tmp_path / name / "1.png")
        write_image(tmp_path / name / "2.png")

    assert opened(tmp_path).classes == ("Zebra", "ape", "class9", "class10")
    assert sorted(["b10", "b9", "10", "9", ""], key=natural_key) == ["", "9", "10", "b9", "b10"]


def test_only_images_count(photos: Path, write_image: Write, opened: Opener) -> None:
    before = opened(photos).fingerprint()
    (photos / "cat" / "Thumbs.db").write_bytes(b"x")
    (photos / "cat" / "notes.txt").write_text("x")
    (photos / "cat" / ".hidden.png").write_bytes(b"x")
    (photos / ".git").mkdir()
    write_image(photos / "__MACOSX" / "cat" / "1.png")
    write_image(photos / "cat" / ".cache" / "1.png")

    assert opened(photos).fingerprint() == before


@pytest.mark.parametrize("name", ["deep/er/1.png", "1.PNG", "Ünïcödé ☃.Jpeg", "spa ce.webp"])
def test_nested_folders_and_unusual_names_are_found(
    photos: Path, write_image: Write, opened: Opener, name: str
) -> None:
    write_image(photos / "cat" / name)

    source = opened(photos)

    found = [*names(source, "train"), *names(source, "val")]
    index = found.index(f"cat/{name}")
    assert index >= 0
    assert len(found) == 21


def test_links_are_followed_and_loops_are_left(
    photos: Path, tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    write_image(tmp_path / "elsewhere" / "1.png")
    (photos / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "cat" / "linked.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (photos / "cat" / "loop").symlink_to(photos)

    source = opened(photos)

    found = {*names(source, "train"), *names(source, "val")}
    assert {"cat/more/1.png", "cat/linked.png"} <= found
    assert not any(name.count("loop") > 1 for name in found)


def test_accents_are_one_spelling_in_every_split(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    for name in (f"train/{composed}", f"val/{decomposed}", "train/b", "val/b"):
        write_image(tmp_path / name / "1.png")

    assert opened(tmp_path).classes == ("b", composed)


def test_a_class_without_validation_images_is_no_error(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for name in ("train/a", "train/b", "val/b"):
        write_image(tmp_path / name / "1.png")
    (tmp_path / "val" / "a").mkdir()

    assert labelled(opened(tmp_path).splits["val"]) == {"val/b/1.png": "b"}


def test_images_have_the_channels_that_were_asked_for(photos: Path, opened: Opener) -> None:
    source = opened(photos, channels=1)

    assert source.splits["train"].load(0).image.shape[0] == 1


def test_a_class_may_be_named_as_a_split(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for name in ("bus", "car", "train"):
        write_image(tmp_path / name / "1.png")
        write_image(tmp_path / name / "2.png")

    assert opened(tmp_path).classes == ("bus", "car", "train")


def test_masks_may_be_classes_where_the_user_says_so(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png"):
        write_image(tmp_path / name)

    assert opened(f"folders:{tmp_path}").classes == ("images", "masks")


def test_the_images_before_a_split_was_drawn_are_kept(
    photos: Path, tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            write_image(tmp_path / "own" / split / name / "1.png")

    whole = opened(photos).whole

    assert whole is not None
    assert len(whole) == 20
    assert opened(tmp_path / "own").whole is None


# What cannot be used


def test_classes_that_training_has_not_are_named(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for name in ("train/a", "train/b", "val/a", "val/c"):
        write_image(tmp_path / name / "1.png")

    with pytest.raises(DataError, match="val has classes that training has not: 'c'"):
        opened(tmp_path)


def test_one_class_is_too_few_and_an_inner_folder_is_suggested(
    photos: Path, opened: Opener
) -> None:
    with pytest.raises(DataError, match="only one class, 'photos'") as caught:
        opened(photos.parent)

    assert f"Did you mean {photos}?" in caught.value.cure


@pytest.fixture
def two_classes(tmp_path: Path, write_image: Write) -> Path:
    """Class folders a and b, with two images each."""
    root = tmp_path / "two"
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "b/2.png")):
        write_image(root / name, number)
    return root


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("loose.png", "1 image in no class folder of a split (loose.png)"),
        ("a/1.HEIC", "1 file in class folders .* (1 .heic)"),
        ("b/photo", "1 file in class folders .* (1 without a suffix)"),
    ],
)
def test_files_that_are_left_aside_are_told(
    two_classes: Path, write_image: Write, opened: Opener, name: str, told: str
) -> None:
    write_image(two_classes / "x.png").rename(two_classes / name)

    source = opened(two_classes)

    assert sum(map(len, source.splits.values())) == 4
    assert re.search(told.replace("(", r"\(").replace(")", r"\)"), opened.said[0])


@pytest.mark.parametrize("name", ["README.md", "a/Thumbs.db", "a/._1.jpg", "@eaDir/1.png"])
def test_what_is_nobodys_image_is_passed_over(two_classes: Path, opened: Opener, name: str) -> None:
    (two_classes / name).parent.mkdir(exist_ok=True)
    (two_classes / name).write_bytes(b"x")

    source = opened(two_classes)

    assert source.classes == ("a", "b")
    assert [sentence for sentence in opened.said if "Left aside" in sentence] == []


def test_folders_beside_those_of_splits_are_told(
    two_classes: Path, write_image: Write, opened: Opener
) -> None:
    two_classes.rename(two_classes.parent / "train")
    write_image(two_classes.parent / "dev" / "a" / "1.png")

    source = opened(two_classes.parent)

    assert source.classes == ("a", "b")
    assert "1 image in no class folder of a split (dev/a/1.png)" in opened.said[0]


def test_test_images_of_no_class_are_left_aside(
    two_classes: Path, write_image: Write, opened: Opener
) -> None:
    two_classes.rename(two_classes.parent / "train")
    write_image(two_classes.parent / "test" / "1.png")

    source = opened(two_classes.parent)

    assert list(source.splits) == ["train", "val"]
    assert "(test/1.png)" in opened.said[0]


def test_a_pipe_is_not_waited_for(two_classes: Path, opened: Opener) -> None:
    os.mkfifo(two_classes / "a" / "pipe.png")

    assert sum(map(len, opened(two_classes).splits.values())) == 4


@pytest.mark.parametrize("name", ["c", "a/c"])
def test_a_link_to_itself_is_no_folder(two_classes: Path, opened: Opener, name: str) -> None:
    (two_classes / name).symlink_to(two_classes / name)

    assert opened(two_classes).classes == ("a", "b")


def test_a_path_that_is_misspelt_is_answered_with_those_beside_it(
    photos: Path, opened: Opener
) -> None:
    with pytest.raises(DataError, match=r"phots does not exist\nDid you mean .*photos\?"):
        opened(photos.with_name("phots"))


@pytest.mark.parametrize("source", ["", "folders:", "csv:"])
def test_a_source_without_words_is_refused(opened: Opener, source: str) -> None:
    with pytest.raises(DataError, match="names no data"):
        opened(source)


@pytest.mark.parametrize("place", [os.devnull, f"{os.devnull}/photos"])
def test_a_device_is_no_source(opened: Opener, place: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read: Not a directory|does not exist"):
        opened(place)


def test_splits_stand_in_one_order(table: Callable[..., Path], opened: Opener) -> None:
    source = opened(
        table("cat/0.png,a,test\ncat/1.png,b,val\ncat/2.png,a,train\ncat/3.png,b,train\n")
    )

    assert list(source.splits) == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("files", "cause", "cure"),
    [
        ([], "not recognised", "Looked for train/CLASS"),
        (["1.png", "2.png"], "2 images in no folder", "Looked for train/CLASS"),
        (["a/x.txt", "b/x.txt"], "no images in class folders", "Looked for folder/class"),
        (["a/1.png", "b/x.txt"], "no images in .*/b", "remove the folder"),
        (["a/1.png"], "only one class, 'a'", "folder of its own"),
        (["train/1.png", "val/1.png"], "no images in class folders", "in no class folder"),
        (["train/a/1.png", "train/b/1.png", "val/1.png"], "val has no images", "no class folder"),
        (["val/a/1.png", "valid/a/1.png"], "both the val split", "Rename one"),
        (["data.csv"], "not recognised", "Did you mean .*data.csv"),
        (["val/a/1.png", "val/b/1.png"], "has val, and no train folder", "name .*/val itself"),
        (["a/1.png", "b/1.png"], "the val split of .* has no images", "two or more"),
    ],
)
def test_folders_that_do_not_fit_are_explained(
    tmp_path: Path, write_image: Write, opened: Opener, files: list[str], cause: str, cure: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in files:
        write_image(root / name.replace(".txt", ".png").replace(".csv", ".png")).rename(root / name)

    with pytest.raises(DataError, match=cause) as caught:
        opened(root)

    assert re.search(cure, caught.value.cure)


def test_a_name_that_is_nothing_is_answered_with_near_names(opened: Opener) -> None:
    with pytest.raises(UnknownNameError, match="unknown data source 'digts'") as caught:
        opened("digts")

    assert "Did you mean digits" in caught.value.cure
    assert "folders:PATH or csv:PATH" in caught.value.cure


def test_a_path_that_is_nothing_is_named(tmp_path: Path, opened: Opener) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match="~nobody-is-called-so"):
        opened("~nobody-is-called-so/photos")
    with pytest.raises(UnknownNameError, match="xxx"):
        opened("x" * 5000)
    with pytest.raises(DataError, match="nowhere does not exist"):
        opened(f"folders:{tmp_path / 'nowhere'}")


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")

    with pytest.raises(DataError, match=r"neither a folder nor a .csv"):
        opened(tmp_path / "photo.jpg")


def test_a_registered_name_comes_before_a_folder_of_that_name(
    photos: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    photos.rename(photos.parent / "digits")

    assert opened("digits").layout == "registered"
    assert "for the path, say ./digits" in opened.said[0]
    assert opened("./digits").layout == "folders"
    assert opened("folders:digits").layout == "folders"
    assert opened("core:digits").layout == "registered"


# Data sets by name, with a path


def read_photos(*, root: Path, download: bool) -> Mapping[str, Dataset]:
    """A data set that takes all that it may be given."""
    assert not download
    return read_folders(root, channels=3)


def draw_nothing() -> Mapping[str, Dataset]:
    """A data set that reads no files."""
    raise AssertionError("not to be called")


@pytest.fixture
def stranger(opened: Opener) -> Opener:
    """Opens sources where the plugin "pets" has a data set of its name and one without files."""
    cards = [
        DatasetCard(name=name, task="t", summary="s", factory=f"{__name__}:{factory}")
        for name, factory in (("pets", "read_photos"), ("drawn", "draw_nothing"))
    ]
    plugin = Plugin(
        name="pets", distribution="zoo-pets", version="1", target=__name__, cards={"dataset": cards}
    )
    opened.registry = Registry([*load_plugins(found=[]), plugin])
    return opened


@pytest.mark.parametrize("name", ["pets", "pets:pets"])
def test_a_data_set_reads_a_path_of_the_users(
    photos: Path, stranger: Opener, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(photos.parent)

    source = stranger(f"{name}:./photos")

    assert (source.name, source.layout, source.place) == (
        "pets", "registered", f"pets:pets:{photos}",
    )  # fmt: skip
    assert source.card is not None
    assert len(source.splits["train"]) + len(source.splits["val"]) == 20
    assert stranger(source.place).fingerprint() == source.fingerprint()
    assert source.first_difference(stranger(f"folders:{photos}").record()) is None


def test_without_a_path_a_data_set_has_a_folder_of_its_own_in_the_cache(
    photos: Path, stranger: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(photos.parent))
    own = photos.parent / "data" / "pets" / "pets"
    own.parent.mkdir(parents=True)
    photos.rename(own)

    source = stranger("pets")

    assert len(source.splits["train"]) == 16
    assert source.place == "pets:pets"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("pets:{}/nowhere", "nowhere does not exist"),
        ("pets:" + 5000 * "x", "x does not exist"),
        ("pets:", "no path after pets:"),
        ("pets:pets:", "no path after pets:pets:"),
        ("drawn:{}", "pets:drawn reads no files"),
        ("digits:{}", "core:digits reads no files"),
    ],
)
def test_a_path_that_a_data_set_cannot_read_is_refused(
    photos: Path, stranger: Opener, source: str, cause: str
) -> None:
    with pytest.raises(DataError, match=cause):
        stranger(source.format(photos))


@pytest.mark.parametrize(
    ("source", "near"), [("pest:{}", "pets"), ("core:digts:{}", "digits"), ("folder:{}", "folders")]
)
def test_a_name_before_a_path_that_nobody_has_is_answered_with_near_names(
    photos: Path, stranger: Opener, source: str, near: str
) -> None:
    with pytest.raises(UnknownNameError, match="unknown data source") as caught:
        stranger(source.format(photos))

    assert f"Did you mean {near}" in caught.value.cure


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_split_without_images_is_refused(photos: Path, opened: Opener, fraction: float) -> None:
    with pytest.raises(DataError, match="val_fraction"):
        opened(photos, val_fraction=fraction)


# Tables


@pytest.fixture
def table(photos: Path) -> Callable[..., Path]:
    """Write a table beside the photos."""

    def write(text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
        path = photos / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


ROWS = "cat/0.png,tabby\ncat/1.png,manx\ncat/2.png,tabby\ndog/12.png,manx\n"


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        (ROWS, "table.csv", "utf-8"),
        (f"path,label\n{ROWS}", "table.csv", "utf-8"),
        (f"\ufeffFile,Class\n{ROWS}", "table.csv", "utf-8"),
        ("label,path\n" + "".join(f"{b},{a}\n" for a, b in
         (row.split(",") for row in ROWS.split())), "table.csv", "utf-8"),
        (ROWS.replace(",", ";"), "table.csv", "utf-8"),
        (ROWS.replace(",", "\t"), "table.tsv", "utf-8"),
        (ROWS.replace("\n", "\r\n") + "\r\n\r\n", "table.csv", "utf-8"),
        (ROWS.replace("/", "\\"), "table.csv", "utf-8"),
        ('"cat/0.png", tabby\n' + ROWS[16:], "table.csv", "utf-8"),
    ],
    ids=["plain", "header", "byte order mark", "other order", "semicolons", "tabs", "Windows",
         "backslashes", "quotes and spaces"],
)  # fmt: skip
def test_tables_of_many_kinds_are_read(
    table: Callable[..., Path], opened: Opener, text: str, name: str, encoding: str
) -> None:
    source = opened(table(text, name, encoding), val_fraction=0.5)

    both = labelled(source.splits["train"]) | labelled(source.splits["val"])
    assert source.layout == "csv"
    assert source.classes == ("manx", "tabby")
    assert both == {
        "cat/0.png": "tabby", "cat/1.png": "manx", "cat/2.png": "tabby", "dog/12.png": "manx",
    }  # fmt: skip


@pytest.mark.parametrize("header", ["", "path,label,split\n"])
def test_a_table_may_name_the_splits(
    table: Callable[..., Path], opened: Opener, header: str
) -> None:
    text = "cat/0.png,a,train\ncat/1.png,b,Training\ncat/2.png,a,valid\ndog/12.png,b,test\n"

    source = opened(table(header + text))

    assert names(source, "train") == ["cat/0.png", "cat/1.png"]
    assert names(source, "val") == ["cat/2.png"]
    assert names(source, "test") == ["dog/12.png"]


def test_absolute_paths_are_kept(table: Callable[..., Path], photos: Path, opened: Opener) -> None:
    source = opened(table(ROWS.replace("cat/0.png", str(photos / "cat" / "0.png"))))

    assert source.splits["train"].load(0).image.ndim == 3


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "lists no images"),
        ("path,label\n", "lists no images"),
        (ROWS + "cat/99.png,tabby\n", "line 5: .*cat/99.png does not exist"),
        (ROWS + "cat,tabby\n", "line 5: .*cat is no file"),
        (ROWS + "./cat/0.png,manx\n", "lines 1 and 5: cat/0.png is listed twice"),
        (ROWS + '"' + 50_000 * "cat/1.png,a\n", r"line \d+: field larger(?s:.*)never closed"),
        (
            "picture,truth\n" + ROWS,
            r"line 1: .*picture does not exist(?s:.*)Columns are named path",
        ),
        (ROWS + "cat/3.png\n", "line 5: a path and a label are needed"),
        (ROWS + "cat/3.png,\n", "line 5: a path and a label are needed"),
        ("cat/0.png,a\ncat/1.png,a\n", "has 1 class to train on"),
        (ROWS + "cat/0.png,manx\n", "lines 1 and 5: cat/0.png is listed twice"),
        ("cat/0.png,a,train\ncat/1.png,b,dev\n", "line 2: 'dev' is no split"),
        ("cat/0.png,a,train\ncat/1.png,b,train\ncat/2.png,c,val\n", "line 3: class 'c'"),
        ("cat/0.png,a,val\ncat/1.png,b,val\n", "has 0 classes to train on"),
    ],
)
def test_tables_that_do_not_fit_name_the_line(
    table: Callable[..., Path], opened: Opener, text: str, cause: str
) -> None:
    with pytest.raises(DataError, match=cause):
        opened(table(text))


def test_a_table_in_another_encoding_is_refused(table: Callable[..., Path], opened: Opener) -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        opened(table("cat/é.png,a\n", encoding="latin-1"))


# Splits


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_every_class_is_on_both_sides_where_it_can_be(fraction: float) -> None:
    labels = np.repeat(np.arange(5), [1, 2, 3, 10, 100])

    train, val = stratified_split(labels, fraction, seed=0)

    assert sorted([*train, *val]) == list(range(len(labels)))
    assert set(labels[train]) == {0, 1, 2, 3, 4}
    assert set(labels[val]) == {1, 2, 3, 4}


def test_the_held_out_part_has_its_size_and_the_classes_proportions() -> None:
    labels = np.repeat(np.arange(3), [100, 200, 701])

    _, val = stratified_split(labels, 0.2, seed=3)

    assert len(val) == 201
    assert np.abs(np.bincount(labels[val]) - np.array([20, 40, 140.2])).max() <= 1


# Bad images


def test_a_bad_image_is_named_when_it_is_read(photos: Path, opened: Opener) -> None:
    source = opened(photos)
    name = names(source, "train")[4]

    (photos / name).write_bytes(b"")

    with pytest.raises(DataError, match=f"{name} is empty"):
        source.splits["train"].load(4)


def test_skipped_images_are_left_out_and_named(photos: Path, opened: Opener) -> None:
    (photos / "cat" / "3.png").write_bytes(b"")
    (photos / "dog" / "15.png").write_text("<html>")
    (photos / "dog" / "link.png").symlink_to(photos / "nothing.png")

    source = opened(photos, on_bad_image="skip")

    found = {*names(source, "train"), *names(source, "val")}
    assert len(found) == 18
    assert not found & {"cat/3.png", "dog/15.png", "dog/link.png"}
    assert len(source.bad_images) == 3
    assert "Left out 3 of 21 images" in opened.said[1]
    assert "3.png is empty" in opened.said[1]
    assert opened(photos, on_bad_image="skip").fingerprint() == source.fingerprint()


def test_a_source_of_bad_images_alone_is_refused(photos: Path, opened: Opener) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"")

    with pytest.raises(DataError, match="has no images"):
        opened(photos, on_bad_image="skip")


# Fingerprints


def test_a_fingerprint_moves_with_the_data(photos: Path, opened: Opener) -> None:
    before = opened(photos)
    record = before.record()
    moved = photos.rename(photos.parent / "moved")

    assert opened(moved).fingerprint() == before.fingerprint()
    assert opened(moved).first_difference(record) is None


def remove(photos: Path) -> None:
    (photos / "cat" / "5.png").unlink()


def grow(photos: Path) -> None:
    with (photos / "cat" / "5.png").open("ab") as file:
        file.write(b"x")


def rename_class(photos: Path) -> None:
    (photos / "cat").rename(photos / "lion")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (remove, "cat/5.png is missing"),
        (grow, "cat/5.png has another size"),
        (rename_class, "classes are .*lion"),
    ],
)
def test_the_first_difference_is_named(
    photos: Path, opened: Opener, change: Callable[[Path], None], difference: str
) -> None:
    record = opened(photos, val_fraction=0.3).record()
    change(photos)

    found = opened(photos, val_fraction=0.3).first_difference(record)

    assert found is not None
    assert re.search(difference, found)


def test_opening_and_reading_change_no_file(photos: Path, opened: Opener) -> None:
    def state() -> dict[str, tuple[str, int]]:
        return {
            str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), os.stat(path).st_mtime_ns)  # noqa: PTH116
            for path in sorted(photos.rglob("*"))
            if path.is_file()
        }

    (photos / "cat" / "3.png").write_bytes(b"broken")
    before = state()

    source = opened(photos, on_bad_image="skip")
    for dataset in source.splits.values():
        for index in range(len(dataset)):
            dataset.load(index)

    assert state() == before


def test_the_card_of_a_registered_set_is_kept(opened: Opener) -> None:
    card = opened("digits").card

    assert isinstance(card, DatasetCard)
    assert card.name == "digits"


def test_a_new_image_leaves_most_others_in_their_split(
    photos: Path, write_image: Write, opened: Opener
) -> None:
    before = set(names(opened(photos), "val"))
    write_image(photos / "cat" / "new.png")

    after = set(names(opened(photos), "val"))

    assert len(before & after) >= 3
