"""One documented outcome for each thing that is wrong with boxes, in every layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zoo.cli.data import data
from zoo.config import DataConfig
from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import Source
from zoo.data.sources import open_source
from zoo.errors import DataError
from zoo.registry import default_registry

WIDTH, HEIGHT = SIZE = (40, 30)
Marked = tuple[Any, Any, Any, Any, str]
"""x1 y1 x2 y2 in px from 0, and a class."""
GOOD: Marked = (4.0, 3.0, 20.0, 15.0, "cat")
Size = tuple[int, int]


def voc_text(boxes: Sequence[Marked], size: Size) -> str:
    """Counted from 1."""
    objects = [
        f"<object><name>{of}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for x1, y1, x2, y2, of in boxes
    ]
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{stated}{''.join(objects)}</annotation>"


def coco_text(boxes: Sequence[Marked], size: Size) -> str:
    """An unknown class is a category id that is not listed."""
    annotations = [
        {
            "id": number,
            "image_id": 5,
            "category_id": {"cat": 7}.get(of, 9),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }
        for number, (x1, y1, x2, y2, of) in enumerate(boxes)
    ]
    image = {"id": 5, "file_name": "a.png", "width": size[0], "height": size[1]}
    categories = [{"id": 7, "name": "cat"}]
    return json.dumps({"images": [image], "annotations": annotations, "categories": categories})


def yolo_text(boxes: Sequence[Marked], size: Size) -> str:
    del size  # YOLO's files state none
    lines = [
        f"{['cat', of].index(of)} {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT}"
        f" {(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}"
        for x1, y1, x2, y2, of in boxes
    ]
    return "\n".join(lines)


def csv_text(boxes: Sequence[Marked], size: Size) -> str:
    """One table for both splits."""
    lines = [
        f"train/a.png,{size[0]},{size[1]},{of},{x1},{y1},{x2},{y2},train"
        for x1, y1, x2, y2, of in boxes
    ]
    val = "val/a.png,40,30,cat,4,3,20,15,val"
    return "\n".join(["path,width,height,class,xmin,ymin,xmax,ymax,split", *lines, val])


@dataclass(frozen=True)
class Layout:
    """Where a layout keeps the boxes of the one training image, and how it names the second."""

    text: Callable[[Sequence[Marked], Size], str]
    file: str
    place: str
    image: str = "train/a.png"
    beside: Mapping[str, str] = field(default_factory=dict)


LAYOUTS = {
    "voc": Layout(voc_text, "train/a.xml", "object 1"),
    "coco": Layout(coco_text, "train/_annotations.coco.json", "annotation 1 (id 1)"),
    "yolo": Layout(
        yolo_text,
        "train/labels/a.txt",
        "line 2",
        "train/images/a.png",
        {"data.yaml": "train: train/images\nval: val/images\nnames: [cat]\n"},
    ),
    "csv": Layout(csv_text, "boxes.csv", "line 3"),
}


@dataclass
class Folder:
    """A training image, whose boxes are written by ``mark``, and a good one for validation."""

    root: Path
    layout: Layout
    name: str

    @property
    def source(self) -> str:
        return f"{self.name}:{self.annotation if self.name == 'csv' else self.root}"

    @property
    def annotation(self) -> Path:
        return self.root / self.layout.file

    @property
    def image(self) -> Path:
        return self.root / self.layout.image

    def mark(self, *boxes: Marked, size: Size = SIZE) -> None:
        self.annotation.write_text(self.layout.text(boxes, size))

    def open(self, **options: Any) -> Source:
        return open_source(
            self.source,
            registry=default_registry(),
            data=DataConfig(**options),
            message=lambda _: None,
        )

    def boxes(self, on_bad_box: str) -> list[list[float]]:
        """What training would learn, as whole px."""
        train = self.open(on_bad_box=on_bad_box).splits["train"]
        return [[round(at) for at in box] for box in train.load(0).targets["boxes"].tolist()]  # type: ignore[union-attr]

    def check(self) -> tuple[int, str]:
        """Exit code and words of ``zoo data check``."""
        result = CliRunner().invoke(data, ["check", self.source])
        return result.exit_code, result.output


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, write_image: Any) -> Folder:
    layout = LAYOUTS[request.param]
    for number, split in enumerate(("train", "val")):
        write_image(tmp_path / layout.image.replace("train", split), number, SIZE)
        annotation = tmp_path / layout.file.replace("train", split)
        annotation.parent.mkdir(exist_ok=True)
        annotation.write_text(layout.text([GOOD], SIZE))
    for name, text in layout.beside.items():
        (tmp_path / name).write_text(text)
    return Folder(tmp_path, layout, request.param)


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("folder", names, indirect=True)


everywhere = each(*LAYOUTS)
NAN, INF = float("nan"), float("inf")
WRONG = {
    "negative": ((-8, 2, 10, 20, "cat"), "reaches out of the image, 40 x 30 px", [0, 2, 10, 20]),
    "too far": ((20, 10, 55, 30, "cat"), "reaches out of the image, 40 x 30", [20, 10, 40, 30]),
    "outside": ((50, 2, 60, 20, "cat"), "lies outside of the image, 40 x 30 px", None),
    "thin": ((30, 2, 30 + 1e-9, 20, "cat"), "has no area", None),
    "NaN": ((NAN, 2, 10, 20, "cat"), "is not made of numbers", None),
    "infinite": ((INF, 2, 10, 20, "cat"), "is not made of numbers", None),
    "inverted": ((30, 2, 10, 20, "cat"), "is inverted", None),
    "zero": ((10, 2, 10, 20, "cat"), "has no area", None),
}
"""The box, what is said of it, and what clipping leaves of it."""
wrong = pytest.mark.parametrize(("box", "cause", "clipped"), WRONG.values(), ids=WRONG)


@everywhere
@wrong
def test_a_wrong_box_ends_the_run_and_is_named(
    folder: Folder, box: Marked, cause: str, clipped: Any
) -> None:
    folder.mark(GOOD, box)

    with pytest.raises(DataError, match="1 bad box") as caught:
        folder.open()

    assert f"{folder.annotation}, {folder.layout.place}: the box" in caught.value.cause
    assert cause in caught.value.cause
    assert "--on-bad-box clip or skip" in caught.value.cure


@everywhere
@wrong
@pytest.mark.parametrize("on_bad_box", ["clip", "skip"])
def test_a_wrong_box_is_clipped_or_left_out_and_listed_if_one_says_so(
    folder: Folder, box: Marked, cause: str, clipped: Any, on_bad_box: str
) -> None:
    folder.mark(GOOD, box)
    kept = [clipped] if clipped and on_bad_box == "clip" else []

    boxes = folder.boxes(on_bad_box)

    [mended] = folder.open(on_bad_box=on_bad_box).record()["mended_boxes"]
    assert boxes == [[4, 3, 20, 15], *kept]
    assert (mended["image"], mended["box"]) == (folder.layout.image, 1)
    assert mended["done"] == ("clipped" if kept else "left out")
    assert cause in mended["cause"]


@everywhere
@wrong
def test_the_check_names_a_wrong_box(folder: Folder, box: Marked, cause: str, clipped: Any) -> None:
    folder.mark(GOOD, box)

    code, said = folder.check()

    assert code == 1
    assert f"{folder.layout.place}: the box" in said
    assert cause in said


@each("csv")
def test_a_word_for_a_corner_is_no_number(folder: Folder) -> None:
    folder.mark(GOOD, ("left", 2, 10, 20, "cat"))

    with pytest.raises(DataError, match=r"line 3: the box \(nan, 2, 10, 20\) is not made of"):
        folder.open()
    assert folder.boxes("clip") == [[4, 3, 20, 15]]


@each("coco", "yolo")
def test_a_class_that_is_not_listed_makes_a_bad_box(folder: Folder) -> None:
    folder.mark(GOOD, (1, 2, 30, 20, "dog"))

    with pytest.raises(DataError, match=r"is not (among|in) the"):
        folder.open()
    assert folder.boxes("clip") == folder.boxes("skip") == [[4, 3, 20, 15]]
    assert folder.check()[0] == 1


@everywhere
def test_a_box_that_is_there_twice_stays_and_is_told(folder: Folder) -> None:
    folder.mark(GOOD, GOOD)

    code, said = folder.check()

    assert folder.boxes("fail") == [[4, 3, 20, 15]] * 2
    assert code == 0
    assert "box" in said
    assert "twice on the same image" in said


@each("voc", "csv")
def test_a_wrong_size_ends_the_run_or_is_not_believed(folder: Folder) -> None:
    folder.mark(GOOD, size=(30, 40))

    with pytest.raises(DataError, match=r"said to be 30 x 40 px, and is 40 x 30 \(turned"):
        folder.open()
    assert folder.boxes("clip") == folder.boxes("skip") == [[4, 3, 20, 15]]
    [mended] = folder.open(on_bad_box="clip").record()["mended_boxes"]
    assert (mended["box"], mended["done"]) == (None, "not believed")
    assert folder.check()[0] == 1


@each("coco")
def test_a_wrong_size_in_coco_ends_the_run_when_the_image_is_read(folder: Folder) -> None:
    folder.mark(GOOD, size=(30, 40))

    opened = folder.open().splits["train"]

    with pytest.raises(DataError, match=r"is 40 x 30 px, and its boxes are for 30 x 40") as caught:
        opened.load(0)
    assert str(folder.image) in caught.value.cause
    assert folder.boxes("clip") == folder.boxes("skip") == [[4, 3, 20, 15]]
    code, said = folder.check()
    assert (code, "said to be 30 x 40 px, and is 40 x 30" in said) == (1, True)


@each("coco")
def test_coco_is_opened_without_looking_into_its_images(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mark(GOOD)
    folder.image.write_bytes(b"not looked at")

    opened = folder.open().splits["train"]

    assert isinstance(opened, BoxedFiles)
    assert opened.sizes_px.tolist() == [[30, 40]]
    with pytest.raises(DataError, match="is no image that can be read"):
        folder.open(on_bad_box="clip")


@everywhere
def test_a_missing_image_ends_the_run(folder: Folder) -> None:
    folder.mark(GOOD)
    folder.image.unlink()

    with pytest.raises(DataError) as caught:
        folder.open()

    assert folder.image.stem in caught.value.cause
    assert folder.check()[0] in (1, 2)


@each("coco")
def test_an_image_that_is_there_twice_ends_the_run(folder: Folder) -> None:
    content = json.loads(folder.annotation.read_text())
    content["images"].append({**content["images"][0], "id": 6})
    folder.annotation.write_text(json.dumps(content))

    with pytest.raises(DataError, match=r"a\.png is there 2 times in one split"):
        folder.open(on_bad_box="clip")


@each("yolo")
def test_a_list_of_images_that_is_no_text_ends_the_run(folder: Folder) -> None:
    (folder.root / "data.yaml").write_text("names: [cat]\ntrain: list.txt\n")
    (folder.root / "list.txt").write_bytes(b"\xff\xfe")

    with pytest.raises(DataError, match=r"list\.txt is not UTF-8 text"):
        folder.open()


@each("yolo")
def test_an_empty_file_of_yolo_is_an_image_without_objects(folder: Folder) -> None:
    folder.annotation.write_text("")

    _, said = folder.check()

    assert folder.boxes("fail") == []
    assert "train has 1 image without boxes" in said


@each("voc")
@pytest.mark.parametrize(
    ("box", "first"),
    [((-1, 3, 20, 15, "cat"), [0, 4, 20, 15]), ((0, 3, 20, 15, "cat"), [0, 3, 20, 15])],
    ids=["from 0", "from 1"],
)
def test_pascal_voc_counts_from_one_unless_a_box_begins_at_zero(
    folder: Folder, box: Marked, first: list[int]
) -> None:
    folder.mark(box, GOOD)

    assert folder.boxes("fail")[0] == first
    assert "boxes count pixels from" in folder.check()[1]
