"""``zoo data check``: what is in the data, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from zoo.cli.data import data
from zoo.config import DataConfig
from zoo.data.datasets import Resident, Source
from zoo.data.sources import SourceCheck, check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry
from zoo.structures import Sample


def check(path: Path, **options: Callable[[int, int], None]) -> SourceCheck:
    source = open_source(
        str(path), registry=default_registry(), data=DataConfig(), message=lambda _: None
    )
    return check_source(source, **options)


@pytest.fixture
def splits(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Train and val of two classes, four and two images each."""
    for number, name in enumerate(
        f"{split}/{kind}/{n}.png"
        for split, count in (("train", 4), ("val", 2))
        for kind in ("cat", "dog")
        for n in range(count)
    ):
        write_image(tmp_path / "data" / name, number, (10 + number, 30))
    return tmp_path / "data"


def test_clean_data_have_no_problems(splits: Path) -> None:
    found = check(splits)

    assert found.problems == []
    assert found.notes == []
    assert found.splits["train"].images == 8
    assert found.splits["train"].classes == {"cat": 4, "dog": 4}
    assert str(found.splits["train"].width_px) == "10 / 13.5 / 17"
    assert str(found.splits["val"].height_px) == "30 / 30 / 30"
    assert found.splits["val"].modes == {"RGB": 4}


def test_digits_are_clean() -> None:
    found = check(Path("digits"))

    assert found.problems == []
    assert found.splits["train"].modes == {"L": 1437}


def test_targets_that_are_no_classes_are_compared_and_not_counted() -> None:
    images = torch.arange(3, dtype=torch.uint8).repeat_interleave(2).reshape(6, 1, 1, 1)
    angles = {"angles_deg": torch.tensor([10.5, 10.5, 20.0, 20.5, 30.0, 30.0])}
    train = Resident(name="dials train", images=images, targets=angles)
    val = Resident(name="dials val", images=images[:1] + 9, targets={"angles_deg": torch.ones(1)})
    source = Source(
        name="dials", layout="registered", splits={"train": train, "val": val}, classes=(),
        bad_images={},
    )  # fmt: skip

    found = check_source(source)

    assert found.across_classes == [["dials train[2]", "dials train[3]"]]
    assert found.repeated == 2
    assert found.problems == ["1 image with several targets"]
    assert found.splits["train"].classes == {}


def test_bad_files_are_named_with_their_fault(splits: Path) -> None:
    (splits / "train" / "cat" / "0.png").write_bytes(b"")
    whole = (splits / "train" / "dog" / "1.png").read_bytes()
    (splits / "train" / "dog" / "1.png").write_bytes(whole[: len(whole) // 2])
    (splits / "val" / "dog" / "gone.png").symlink_to(splits / "nothing.png")

    found = check(splits)

    faults = {Path(path).name: fault for path, fault in found.bad_images.items()}
    assert set(faults) == {"0.png", "1.png", "gone.png"}
    assert "empty" in faults["0.png"]
    assert "damaged" in faults["1.png"]
    assert "does not exist" in faults["gone.png"]
    assert found.problems == ["3 images cannot be read"]
    assert found.splits["train"].images == 8


def test_copies_are_told_apart_by_what_they_spoil(splits: Path) -> None:
    train, val = splits / "train", splits / "val"
    shutil.copy(train / "cat" / "0.png", val / "cat" / "leak.png")
    shutil.copy(train / "cat" / "1.png", train / "dog" / "both.png")
    shutil.copy(train / "cat" / "2.png", train / "cat" / "again.png")

    found = check(splits)

    assert [{Path(path).name for path in group} for group in found.across_splits] == [
        {"0.png", "leak.png"}
    ]
    assert [{Path(path).name for path in group} for group in found.across_classes] == [
        {"1.png", "both.png"}
    ]
    assert found.repeated == 1
    assert len(found.problems) == 2
    assert found.notes == ["1 file repeated within a split and class"]


def test_what_one_should_know_is_noted(splits: Path, write_image: Callable[..., Path]) -> None:
    for number in range(60):
        write_image(splits / "train" / "dog" / f"more{number}.png", 100 + number)
    shutil.rmtree(splits / "val" / "cat")
    Image.new("CMYK", (20, 20)).save(splits / "train" / "cat" / "print.jpg")

    notes = check(splits).notes

    assert notes == [
        "train has unusual modes: 1 of CMYK",
        "val has no images of cat",
        "train is imbalanced: 5 of cat, 64 of dog",
    ]


def test_progress_is_told(splits: Path) -> None:
    told: list[tuple[int, int]] = []

    check(splits, progress=lambda done, total: told.append((done, total)))

    assert told == [(done, 12) for done in range(1, 13)]


def test_nothing_is_changed(splits: Path) -> None:
    (splits / "train" / "cat" / "0.png").write_bytes(b"broken")
    before = {path: path.read_bytes() for path in splits.rglob("*.png")}

    check(splits)

    assert {path: path.read_bytes() for path in splits.rglob("*.png")} == before


@dataclass(frozen=True)
class Damaged(Resident):
    """Of a plugin: no files that zoo knows of, and an image that cannot be read."""

    def load(self, index: int) -> Sample:
        if index == 1:
            raise DataError("the second image is damaged")
        return super().load(index)


def test_an_image_that_a_data_set_of_a_plugin_cannot_read_is_listed() -> None:
    images = torch.arange(3).to(torch.uint8).reshape(3, 1, 1, 1)
    split = Damaged(name="scans", images=images, targets={"angles_deg": torch.zeros(3)})
    source = Source(
        name="scans", layout="registered", splits={"train": split}, classes=(), bad_images={}
    )

    found = check_source(source)

    assert found.bad_images == {"scans[1]": "the second image is damaged"}
    assert found.problems == ["1 image cannot be read"]


def test_the_command_prints_a_report_and_exits_with_1_on_problems(splits: Path) -> None:
    clean = CliRunner().invoke(data, ["check", str(splits)])
    (splits / "val" / "cat" / "0.png").write_bytes(b"")

    broken = CliRunner().invoke(data, ["check", str(splits)])

    assert clean.exit_code == 0
    assert "nothing is wrong" in clean.stdout
    assert broken.exit_code == 1
    assert "problem: 1 image cannot be read" in broken.stdout
    assert "0.png is empty (0 bytes)" in broken.stdout


def test_the_command_prints_one_json_document(splits: Path) -> None:
    (splits / "val" / "cat" / "0.png").write_bytes(b"")

    result = CliRunner().invoke(data, ["check", str(splits), "--json"])

    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["splits"]["train"]["classes"] == {"cat": 4, "dog": 4}
    assert document["problems"] == ["1 image cannot be read"]
    assert list(document["bad_images"]) == [str(splits / "val" / "cat" / "0.png")]
