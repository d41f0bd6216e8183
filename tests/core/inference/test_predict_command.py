"""``zoo predict`` on files, folders and patterns, with pictures that never replace a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, TiffImagePlugin
from torch import nn

from zoo.data.decoding import decode_image
from zoo.data.sources import ImageAlone
from zoo.errors import DataError
from zoo.structures import Batch
from zoo.tasks import ClassificationTask
from zoo.workflows import collect_images

Zoo = Callable[..., tuple[int, str, str]]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Images in folders, with what an album holds beside them."""
    root = tmp_path / "album"
    for name, colour in {
        "red.png": "red",
        "a/x.JPG": "red",
        "b/x.png": "blue",
        "b/c/deep.bmp": "blue",
        ".hidden/y.png": "red",
        "b/._x.png": "red",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), colour).save(path)
    (root / "notes.txt").write_text("not an image")
    return root


def _names(found: list[ImageAlone], root: Path) -> list[str]:
    return [image.path.relative_to(root).as_posix() for image in found]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["."], ["a/x.JPG", "b/c/deep.bmp", "b/x.png", "red.png"]),
        (["b", "red.png"], ["b/c/deep.bmp", "b/x.png", "red.png"]),
        (["*.png"], ["red.png"]),
        (["*/x.*"], ["a/x.JPG", "b/x.png"]),
        (["**/*.bmp"], ["b/c/deep.bmp"]),
        (["?"], ["a/x.JPG", "b/c/deep.bmp", "b/x.png"]),
        (["red.png", "red.png", "."], ["red.png", "a/x.JPG", "b/c/deep.bmp", "b/x.png"]),
        (["notes.txt"], ["notes.txt"]),
        ([".hidden"], [".hidden/y.png"]),
    ],
)
def test_files_folders_and_patterns_are_found_once_each(
    album: Path, paths: list[str], found: list[str]
) -> None:
    assert _names(collect_images([str(album / path) for path in paths]), album) == found


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(album: Path) -> None:
    Image.new("RGB", (4, 4)).save(album / "[1].png")

    assert _names(collect_images([str(album / "[1].png")]), album) == ["[1].png"]


def _write_stack(path: Path, *colours: str) -> Path:
    first, *others = (Image.new("RGB", (12, 10), colour) for colour in colours)
    first.save(path, save_all=True, append_images=others)
    return path


def test_each_page_of_a_stack_is_answered(tiny_run: Path, tmp_path: Path, zoo: Zoo) -> None:
    stack = _write_stack(tmp_path / "stack.tif", "red", "blue", "red")

    code, out, err = zoo(
        "predict", tiny_run, stack, tmp_path / "stack.tif[1]", "--save", tmp_path / "out", "--json"
    )

    images = json.loads(out)["images"]
    assert code == 0
    assert [image["path"] for image in images] == [f"{stack}[{page}]" for page in range(3)]
    assert [image["label"] for image in images] == ["rot", "blau", "rot"]
    assert f"{stack}: each page of 1 TIFF file is an image" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "stack-0.png", "stack-1.png", "stack-2.png"
    ]  # fmt: skip


def test_a_smaller_copy_in_a_file_is_no_page(tmp_path: Path) -> None:
    copy = Image.new("RGB", (6, 5), "red")
    reduced = TiffImagePlugin.ImageFileDirectory_v2()
    reduced[254] = 1
    copy.encoderinfo = {"tiffinfo": reduced}
    photo = tmp_path / "photo.tif"
    Image.new("RGB", (12, 10), "red").save(photo, save_all=True, append_images=[copy])

    found = collect_images([str(photo)])

    assert _names(found, tmp_path) == ["photo.tif"]


def test_masks_beside_their_images_are_not_answered(album: Path) -> None:
    for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/3.png"):
        path = album / "cells" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path)
    said: list[str] = []

    found = collect_images([str(album / "cells")], message=said.append)

    assert _names(found, album / "cells") == ["images/1.png", "images/2.png"]
    assert said == [f"{album / 'cells'}: left out 2 masks that lie beside images"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["shoe.png", "shoe_mask.png"], ["shoe.png"]),
        (["shoe.jpg", "shoe_l.jpg"], ["shoe.jpg", "shoe_l.jpg"]),
        (["test/1.png", "testing/1.png"], ["test/1.png", "testing/1.png"]),
    ],
    ids=["a mask", "another photo", "folders that are one split"],
)
def test_only_what_is_surely_a_mask_is_left_out(
    tmp_path: Path, names: list[str], found: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)

    assert _names(collect_images([str(tmp_path)]), tmp_path) == found


def test_stacks_of_masks_are_not_answered(tmp_path: Path) -> None:
    for name in ("train-volume", "train-labels", "test-volume"):
        _write_stack(tmp_path / f"{name}.tif", "red", "blue")

    found = collect_images([str(tmp_path)])

    assert _names(found, tmp_path) == [
        "test-volume.tif[0]", "test-volume.tif[1]", "train-volume.tif[0]", "train-volume.tif[1]"
    ]  # fmt: skip


def test_a_pack_is_answered_as_its_source_is(tiny_run: Path, tmp_path: Path, zoo: Zoo) -> None:
    source = tmp_path / "source"
    for name in ("red/1.png", "red/2.png", "blue/1.png"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), path.parent.name).save(path)
    pack = tmp_path / "pack"
    zoo("data", "pack", source, "--output", pack, "--format", "raw")

    code, out, err = zoo("predict", tiny_run, pack, "--save", tmp_path / "out", "--json")

    assert (code, err.count("rror")) == (0, 0)
    packed = json.loads(out)["images"]
    own = json.loads(zoo("predict", tiny_run, source, "--json")[1])["images"]
    assert [Path(image["path"]).name for image in packed] == ["1.png]", "1.png]", "2.png]"]
    assert [image["score"] for image in packed] == [image["score"] for image in own]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1-2.png", "1.png", "2.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone.png", "no such file"), ("*.gif", "matches nothing"), ("empty", "holds no images")],
)
def test_a_path_that_names_nothing_is_refused(album: Path, path: str, message: str) -> None:
    (album / "empty").mkdir()

    with pytest.raises(DataError, match=message):
        collect_images([str(album / path)])


def test_a_line_for_each_image_with_classes_and_percentages(
    tiny_run: Path, album: Path, zoo: Zoo
) -> None:
    code, out, err = zoo("predict", tiny_run, album, "--precision", "fp32")

    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in lines] == ["rot", "blau", "blau", "rot"]
    assert len({line.index("%") for line in lines}) == 1
    assert lines[0].split()[1:] == ["rot", "100.0", "%", "blau", "0.0", "%"]


def test_only_so_many_classes_are_named(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    _, out, _ = zoo("predict", tiny_run, album / "red.png", "--top-k", 1)

    assert out.split()[1:] == ["rot", "100.0", "%"]


def test_as_many_images_as_fit_are_answered_at_once(
    tiny_run: Path, album: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected, _ = zoo("predict", tiny_run, album)
    predict = ClassificationTask.predict

    def short(self: ClassificationTask, model: nn.Module, batch: Batch) -> list[Any]:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(self, model, batch)

    monkeypatch.setattr(ClassificationTask, "predict", short)

    code, out, err = zoo("predict", tiny_run, album)

    assert (code, out) == (0, expected)
    assert err.count("not the memory for 4 images at once: 1 at a time from here on") == 1


def test_json_is_one_document_alone_on_stdout(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    code, out, _ = zoo("predict", tiny_run, album, "--json")

    document = json.loads(out)
    assert code == 0
    assert document["model"] == "tiny:tiny"
    assert [image["label"] for image in document["images"]] == ["rot", "blau", "blau", "rot"]
    assert document["images"][0]["path"] == str(album / "a/x.JPG")
    assert document["skipped"] == []


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_answers_stay_on_stdout_beside_a_bar_on_a_terminal(
    tiny_run: Path, album: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    _, plain, _ = zoo("predict", tiny_run, album, *form)

    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take stderr for a terminal
    _, out, err = zoo("predict", tiny_run, album, *form)

    assert out == plain
    assert "predicting" in err


def test_batches_change_no_answer(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    whole = zoo("predict", tiny_run, album)

    parts = zoo("predict", tiny_run, album, "--batch-size", 3)

    assert parts == whole


def test_pictures_of_one_name_get_numbers(
    tiny_run: Path, album: Path, tmp_path: Path, zoo: Zoo
) -> None:
    code, _, err = zoo("predict", tiny_run, album, "--save", tmp_path / "new/out")

    names = sorted(path.name for path in (tmp_path / "new/out").iterdir())
    assert code == 0
    assert names == ["deep.png", "red.png", "x-2.png", "x.png"]
    assert "4 pictures" in err


def test_a_file_that_is_there_already_is_never_replaced(
    tiny_run: Path, album: Path, zoo: Zoo
) -> None:
    before = {path: path.read_bytes() for path in album.rglob("*") if path.is_file()}

    code, _, _ = zoo("predict", tiny_run, album / "red.png", "--save", album)

    assert code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert decode_image(album / "red-2.png").shape[2] > 12


def test_a_file_in_place_of_the_folder_for_pictures_is_refused(
    tiny_run: Path, album: Path, zoo: Zoo
) -> None:
    code, out, _ = zoo("predict", tiny_run, album, "--save", album / "notes.txt")

    assert (code, out) == (2, "")
    assert (album / "notes.txt").read_text() == "not an image"


def test_a_bad_image_ends_the_command_and_is_named(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    (album / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    code, _, err = zoo("predict", tiny_run, album)

    assert code == 2
    assert "bad.png" in err
    assert "Traceback" not in err


def test_bad_images_can_be_skipped_and_are_counted(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    (album / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    code, out, err = zoo("predict", tiny_run, album, "--on-bad-image", "skip", "--json")

    document = json.loads(out)
    assert code == 0
    assert len(document["images"]) == 4
    assert [skipped["path"] for skipped in document["skipped"]] == [str(album / "bad.png")]
    assert "skipped 1 of 5 images" in err


def test_nothing_but_bad_images_is_an_error(tiny_run: Path, album: Path, zoo: Zoo) -> None:
    code, out, err = zoo("predict", tiny_run, album / "notes.txt", "--on-bad-image", "skip")

    assert (code, out) == (2, "")
    assert "no image could be read (of 1)" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}", "gone.png"], "gone.png: there is no such file or folder"),
        (["gone", "{album}"], "there is no folder gone"),
        (["tiny", "{album}"], "tiny is a model"),
        (["{run}", "{album}", "--top-k", "0"], "top-k"),
        (["{run}"], "PATH"),
    ],
)
def test_wrong_words_are_a_usage_error(
    tiny_run: Path, album: Path, zoo: Zoo, words: list[str], message: str
) -> None:
    code, out, err = zoo("predict", *(w.format(run=tiny_run, album=album) for w in words))

    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
