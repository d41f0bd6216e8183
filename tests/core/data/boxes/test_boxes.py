"""Images with boxes: the layouts that people have, and what becomes of boxes that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from zoo.cli.data import data
from zoo.config import DataConfig
from zoo.data.boxes import BoxedFiles
from zoo.data.boxes._faults import find_fault
from zoo.data.datasets import Source
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry

Write = Callable[..., Path]
Corners = tuple[float, float, float, float]
SIZE = (40, 30)
"""Width and height of the images."""


@dataclass
class Opener:
    """Opens sources and keeps what was said."""

    said: list[str] = field(default_factory=list)

    def __call__(self, source: object, *, unsettled: bool = False, **options: Any) -> Source:
        return open_source(
            str(source),
            registry=default_registry(),
            data=DataConfig(**options),
            message=self.said.append,
            unsettled=unsettled,
        )


@pytest.fixture
def opened() -> Opener:
    return Opener()


def xml_of(objects: Sequence[tuple[str, Sequence[object]]], size: tuple[int, int] = SIZE) -> str:
    corners = ("xmin", "ymin", "xmax", "ymax")
    parts = [
        f"<object><name>{name}</name><difficult>0</difficult><bndbox>"
        + "".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, values, strict=True))
        + "</bndbox></object>"
        for name, values in objects
    ]
    size_text = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{size_text}{''.join(parts)}</annotation>"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def voc(tmp_path: Path, write_image: Write) -> Path:
    """Three images: a cat at the corner, a dog and a cat, and nothing."""
    root = tmp_path / "voc"
    for number in range(3):
        write_image(root / "JPEGImages" / f"{number}.png", number, SIZE)
    objects: tuple[list[tuple[str, Corners]], ...] = (
        [("cat", (1, 1, 10, 20))],
        [("dog", (5, 6, 15, 16)), ("cat", (20, 3, 40, 30))],
        [],
    )
    for number, marked in enumerate(objects):
        write(root / "Annotations" / f"{number}.xml", xml_of(marked))
    lists = root / "ImageSets" / "Main"
    write(lists / "train.txt", "0\n2\n")
    write(lists / "val.txt", "1  1\n")
    write(lists / "trainval.txt", "0\n1\n2\n")
    return root


def coco_file(
    names: Sequence[str],
    boxes: Sequence[tuple[int, int, Sequence[Any]]],
    categories: Mapping[int, str],
    **of_annotation: Any,
) -> str:
    width, height = SIZE
    images = [
        {"id": 100 + number, "file_name": name, "width": width, "height": height}
        for number, name in enumerate(names)
    ]
    annotations = [
        {"id": n, "image_id": 100 + image, "category_id": of, "bbox": box, **of_annotation}
        for n, (image, of, box) in enumerate(boxes)
    ]
    listed = [{"id": key, "name": name} for key, name in categories.items()]
    return json.dumps({"images": images, "annotations": annotations, "categories": listed})


def boxes_of(dataset: Any, index: int = 0) -> list[list[float]]:
    boxes: list[list[float]] = dataset.load(index).targets["boxes"].tolist()
    return boxes


def notes_of(source: Source) -> tuple[str, ...]:
    split = source.splits["train"]
    assert isinstance(split, BoxedFiles)
    return tuple(split.notes)


def labels_of(dataset: Any, index: int = 0) -> list[int]:
    labels: list[int] = dataset.load(index).targets["labels"].tolist()
    return labels


# --- Pascal VOC --------------------------------------------------------------------------------


def test_pascal_voc_is_read_with_its_own_lists(voc: Path, opened: Opener) -> None:
    write(voc / "ImageSets" / "Main" / "train.txt", "0\n1\n")
    write(voc / "ImageSets" / "Main" / "val.txt", "1\n2\n")

    source = opened(voc)

    assert source.layout == "voc"
    assert source.classes == ("cat", "dog")
    assert {split: of.names for split, of in source.splits.items()} == {  # type: ignore[attr-defined]
        "train": ["JPEGImages/0.png", "JPEGImages/1.png"],
        "val": ["JPEGImages/1.png", "JPEGImages/2.png"],
    }
    assert labels_of(source.splits["train"], 1) == [1, 0]


def test_boxes_that_count_from_one_begin_a_pixel_earlier(voc: Path, opened: Opener) -> None:
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    source = opened(voc)

    assert boxes_of(source.splits["train"]) == [[0, 0, 10, 20]]
    assert isinstance(source.splits["train"], BoxedFiles)
    assert source.splits["train"].notes == ("boxes count pixels from 1",)


def test_boxes_that_count_from_zero_stay(voc: Path, opened: Opener) -> None:
    write(voc / "Annotations" / "2.xml", xml_of([("cat", (0, 4, 9, 9))]))
    write(voc / "ImageSets" / "Main" / "val.txt", "2\n")

    source = opened(voc)

    assert boxes_of(source.splits["train"], 0) == [[1, 1, 10, 20]]
    assert boxes_of(source.splits["train"], 1) == [[0, 4, 9, 9]]
    assert notes_of(source) == ("boxes count pixels from 0: 2 begin at 0, and 1 at 1",)


def test_a_slip_among_boxes_that_count_from_one_decides_nothing(voc: Path, opened: Opener) -> None:
    marked = [("cat", (1, 3 * row + 1, 9, 3 * row + 3)) for row in range(5)]
    write(voc / "Annotations" / "2.xml", xml_of([*marked, ("cat", (0, 4, 9, 9))]))
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    source = opened(voc)

    assert boxes_of(source.splits["train"], 0) == [[0, 0, 10, 20]]
    assert boxes_of(source.splits["train"], 1)[-1] == [0, 3, 9, 9]
    assert notes_of(source) == ("boxes count pixels from 1: 1 begin at 0, and 7 at 1",)


def test_the_check_says_what_boxes_count_from(voc: Path) -> None:
    write(voc / "Annotations" / "2.xml", xml_of([("cat", (0, 4, 9, 9))]))

    outcome = CliRunner().invoke(data, ["check", str(voc)])

    assert "boxes count pixels from 0: 1 begin at 0, and 1 at 1" in outcome.output


def test_images_without_objects_are_good_data(voc: Path, opened: Opener) -> None:
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    sample = opened(voc).splits["train"].load(1)

    assert torch.as_tensor(sample.targets["boxes"]).shape == (0, 4)
    assert torch.as_tensor(sample.targets["labels"]).shape == (0,)
    assert torch.as_tensor(sample.targets["crowd"]).dtype == torch.bool


def test_xml_files_beside_their_images_are_read_too(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / split / "a.png", 0, SIZE)
        write(tmp_path / split / "a.xml", xml_of([("cat", (1, 2, 10, 20))]))

    source = opened(tmp_path)

    assert (source.layout, sorted(source.splits)) == ("voc", ["train", "val"])
    assert boxes_of(source.splits["val"]) == [[0, 1, 10, 20]]


def test_difficult_objects_are_marked(voc: Path, opened: Opener) -> None:
    text = xml_of([("cat", (1, 1, 10, 20))]).replace("difficult>0", "difficult>1")
    write(voc / "Annotations" / "0.xml", text)
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    sample = opened(voc).splits["train"].load(0)

    assert torch.as_tensor(sample.targets["difficult"]).tolist() == [True]


# --- COCO --------------------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path: Path, write_image: Write) -> Path:
    """Category ids 3, 7 and 90; the second image has nothing on it."""
    root = tmp_path / "coco"
    categories = {90: "zebra", 3: "car", 7: "bus"}
    for split in ("train", "val"):
        names = [f"{split}-{number}.png" for number in range(2)]
        for number, name in enumerate(names):
            write_image(root / f"{split}2017" / name, number, SIZE)
        boxes: list[Any] = [(0, 90, [1, 2, 10, 20]), (0, 3, [5.5, 6, 4, 8])]
        write(
            root / "annotations" / f"instances_{split}2017.json",
            coco_file(names, boxes, categories, iscrowd=1),
        )
    return root


def test_coco_ids_with_gaps_become_labels_in_their_order(coco: Path, opened: Opener) -> None:
    source = opened(coco)

    assert (source.layout, source.classes) == ("coco", ("car", "bus", "zebra"))
    assert labels_of(source.splits["val"]) == [2, 0]
    assert boxes_of(source.splits["val"]) == [[1, 2, 11, 22], [5.5, 6, 9.5, 14]]
    crowd = source.splits["val"].load(0).targets["crowd"]
    assert torch.as_tensor(crowd).tolist() == [True, True]
    assert labels_of(source.splits["val"], 1) == []


def test_a_single_coco_file_is_one_split(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        write_image(tmp_path / "images" / name, number, SIZE)
    boxes = [(number, 1, [1, 1, 5, 5]) for number in range(5)]
    path = write(tmp_path / "labels.json", coco_file(names, boxes, {1: "cat"}))

    source = opened(path)

    assert (len(source.splits["train"]), len(source.splits["val"])) == (4, 1)


def test_coco_beside_the_images_of_each_split_is_read(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / split / "a.png", 0, SIZE)
        text = coco_file(["a.png"], [(0, 1, [1, 1, 5, 5])], {1: "cat"})
        write(tmp_path / split / "_annotations.coco.json", text)

    source = opened(tmp_path)

    assert (source.layout, sorted(source.splits)) == ("coco", ["train", "val"])


def beside_images(root: Path, write_image: Write, *files: str) -> Path:
    """A folder with some of COCO's files beside ``images/``, each of the same five images."""
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        write_image(root / "images" / name, number, SIZE)
    boxes = [(number, 1, [1, 1, 5, 5]) for number in range(5)]
    for file in files:
        write(root / file, coco_file(names, boxes, {1: "cat"}))
    return root


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        (["labels.json"], {"train": 4, "val": 1}),
        (["train.json", "instances_val2017.json"], {"train": 5, "val": 5}),
    ],
)
def test_coco_beside_one_folder_of_images_is_recognised(
    tmp_path: Path, write_image: Write, opened: Opener, files: list[str], sizes: dict[str, int]
) -> None:
    source = opened(beside_images(tmp_path, write_image, *files))

    assert source.layout == "coco"
    assert {split: len(of) for split, of in source.splits.items()} == sizes


def test_of_several_coco_files_the_user_is_to_name_one(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    root = beside_images(tmp_path, write_image, "old.json", "new.json")

    with pytest.raises(DataError, match=r"has new\.json, old\.json: which") as caught:
        opened(root)

    assert str(root / "new.json") in caught.value.cure


def test_class_folders_stay_class_folders_beside_a_file_that_looks_like_coco(
    photos: Path, opened: Opener
) -> None:
    write(photos / "about.json", '{"info": "photos of pets", "images": 20}')

    assert opened(photos).layout == "folders"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is empty"),
        ("{", "is no JSON"),
        ("[]", "no COCO file of objects"),
        ('{"images": [], "annotations": []}', "no COCO file of objects"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1}]}',
            "category 1 has no id and name",
        ),
        (
            '{"images": [], "annotations": [], "categories": [1, 1]}'.replace(
                "1", '{"id": 1, "name": "a"}'
            ),
            "category 1: id 1 or name 'a' is there twice",
        ),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "image 0 has no id and file_name",
        ),
        (
            '{"images": [], "annotations": [{"image_id": 5}], "categories": []}',
            "annotation 0 is of image 5, which is not among its images",
        ),
    ],
)
def test_a_broken_coco_file_is_named(tmp_path: Path, opened: Opener, text: str, cause: str) -> None:
    path = write(tmp_path / "labels.json", text)

    with pytest.raises(DataError, match=cause) as caught:
        opened(path)

    assert str(path) in caught.value.cause


# --- YOLO --------------------------------------------------------------------------------------


@pytest.fixture
def yolo(tmp_path: Path, write_image: Write) -> Path:
    root = tmp_path / "yolo"
    for split in ("train", "val"):
        for number in range(3):
            write_image(root / "images" / split / f"{number}.png", number, SIZE)
        write(root / "labels" / split / "0.txt", "1 0.5 0.5 0.5 0.2\n0 0.25 0.5 0.5 1\n")
        write(root / "labels" / split / "1.txt", "")
    write(root / "data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


def test_yolo_is_read_by_its_yaml(yolo: Path, opened: Opener) -> None:
    source = opened(yolo)

    assert (source.layout, source.classes) == ("yolo", ("cat", "dog"))
    assert labels_of(source.splits["train"]) == [1, 0]
    assert torch.tensor(boxes_of(source.splits["train"])).allclose(
        torch.tensor([[10.0, 12, 30, 18], [0, 0, 20, 30]])
    )


@pytest.mark.parametrize("index", [1, 2], ids=["empty file", "no file"])
def test_an_empty_or_missing_file_of_labels_is_an_image_without_objects(
    yolo: Path, opened: Opener, index: int
) -> None:
    assert labels_of(opened(yolo).splits["train"], index) == []


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n",
        "train: ../images/train\nval: ../images/val\nnames: [cat, dog]\nnc: 2\n",
        "train: [images/train]\nvalid: val.txt\nnames: [cat, dog]\n",
    ],
    ids=["path and names by number", "as exported", "lists"],
)
def test_a_yaml_may_be_written_in_several_ways(yolo: Path, opened: Opener, yaml: str) -> None:
    write(yolo / "val.txt", "images/val/0.png\nimages/val/1.png\nimages/val/2.png\n")
    write(yolo / "data.yaml", yaml)

    source = opened(yolo / "data.yaml")

    assert source.classes == ("cat", "dog")
    assert labels_of(source.splits["val"]) == [1, 0]


def test_yolo_names_with_gaps_are_kept_straight(yolo: Path, opened: Opener) -> None:
    write(yolo / "data.yaml", "train: images/train\nval: images/val\nnames: {0: cat, 5: dog}\n")
    write(yolo / "labels" / "train" / "0.txt", "5 0.5 0.5 0.5 0.2\n")
    write(yolo / "labels" / "val" / "0.txt", "5 0.5 0.5 0.5 0.2\n")

    source = opened(yolo)

    assert labels_of(source.splits["train"]) == [1]


def test_yolo_without_a_yaml_takes_classes_from_the_labels(yolo: Path, opened: Opener) -> None:
    (yolo / "data.yaml").unlink()

    source = opened(yolo)

    assert (source.layout, source.classes) == ("yolo", ("0", "1"))


def test_a_polygon_is_taken_for_its_box(yolo: Path, opened: Opener) -> None:
    write(yolo / "labels" / "train" / "0.txt", "0 0.1 0.2 0.5 0.1 0.3 0.6\n")

    boxes = torch.tensor(boxes_of(opened(yolo).splits["train"]))

    assert boxes.allclose(torch.tensor([[4.0, 3, 20, 18]]))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("names: [a", "is no YAML"),
        ("train: images/train\n", "names no classes"),
        ("train: nowhere\nnames: [a]\n", "names nowhere, which does not exist"),
    ],
)
def test_a_broken_yaml_is_explained(yolo: Path, opened: Opener, text: str, cause: str) -> None:
    write(yolo / "data.yaml", text)

    with pytest.raises(DataError, match=cause):
        opened(yolo)


# --- tables ------------------------------------------------------------------------------------

HEADED = "filename,width,height,class,xmin,ymin,xmax,ymax,split\n"


def test_a_table_of_boxes_has_a_line_for_each(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for number in range(3):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    path = write(
        tmp_path / "boxes.csv",
        f"{HEADED}0.png,40,30,cat,1,2,3,4,train\n0.png,40,30,dog,5,6,7,8,train\n"
        "1.png,40,30,,,,,,train\n2.png,40,30,dog,0,0,40,30,val\n",
    )

    source = opened(path)

    assert (source.layout, source.classes) == ("csv", ("cat", "dog"))
    assert boxes_of(source.splits["train"]) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert labels_of(source.splits["train"], 1) == []
    assert boxes_of(source.splits["val"]) == [[0, 0, 40, 30]]


def test_a_table_without_names_is_path_corners_and_class(
    tmp_path: Path, write_image: Write, opened: Opener
) -> None:
    for number in range(4):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    path = write(
        tmp_path / "boxes.csv", "0.png,1,2,3,4,cat\n1.png,,,,,\n2.png,5,6,7,8,cat\n3.png,,,,,\n"
    )

    source = opened(path, val_fraction=0.5)

    assert sum(len(split) for split in source.splits.values()) == 4
    assert source.classes == ("cat",)


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ("0.png,40,30,cat,1,2,3\n", "line 2 has 7 cells; 9 needed"),
        ("0.png,40,30,cat,1,2,3,4,somewhere\n", "line 2: 'somewhere' is no split"),
        (
            "0.png,40,30,cat,1,2,3,4,train\n0.png,40,30,cat,1,2,3,4,val\n",
            "lines 2 and 3: 0.png is in train and in val",
        ),
    ],
)
def test_a_broken_table_names_the_line(
    tmp_path: Path, opened: Opener, lines: str, cause: str
) -> None:
    path = write(tmp_path / "boxes.csv", HEADED + lines)

    with pytest.raises(DataError, match=cause):
        opened(path)


# --- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corners", "height", "width"),
    [((-1, -1, 41, 31), 30, 40), ((0, 0, 40.0001, 30), 30, 40), ((0, 0, 40, 30), 30, 40)],
)
def test_a_pixel_beyond_the_border_is_rounding(corners: Corners, height: int, width: int) -> None:
    assert find_fault(corners, height, width) == ("", False)


def test_rounding_is_clipped_in_silence(tmp_path: Path, write_image: Write, opened: Opener) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    path = write(tmp_path / "b.csv", "0.png,-1,0,41,30,cat\n1.png,0,0,40,30.5,cat\n")

    source = opened(path, val_fraction=0.5)

    assert boxes_of(source.splits["train"]) == [[0, 0, 40, 30]]
    assert not any("bad" in line for line in opened.said)


@pytest.mark.parametrize("policy", ["clip", "skip"])
@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("0.xml", "", "0.xml is empty"),
        ("0.xml", "<annotation><obj", "0.xml is no XML"),
        ("other.xml", "", "has no annotation, .*0.xml"),
    ],
    ids=["empty", "broken", "missing"],
)
def test_an_image_whose_xml_cannot_be_read_is_left_out_if_one_says_so(
    voc: Path, opened: Opener, name: str, text: str, cause: str, policy: str
) -> None:
    (voc / "Annotations" / "0.xml").unlink()
    write(voc / "Annotations" / name, text)
    write(voc / "ImageSets" / "Main" / "train.txt", "0\n1\n2\n")

    with pytest.raises(DataError, match=cause):
        opened(voc)
    source = opened(voc, on_bad_box=policy)

    assert source.splits["train"].names == ["JPEGImages/1.png", "JPEGImages/2.png"]  # type: ignore[attr-defined]


def test_a_size_in_the_xml_that_is_not_the_images_is_not_believed(
    voc: Path, opened: Opener
) -> None:
    write(voc / "Annotations" / "0.xml", xml_of([("cat", (1, 1, 10, 20))], size=(30, 40)))
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    with pytest.raises(DataError, match=r"said to be 30 x 40 px, and is 40 x 30 \(turned"):
        opened(voc)
    source = opened(voc, on_bad_box="clip")

    assert boxes_of(source.splits["train"]) == [[0, 0, 10, 20]]


def test_a_size_of_zero_in_the_xml_says_nothing(voc: Path, opened: Opener) -> None:
    write(voc / "Annotations" / "0.xml", xml_of([("cat", (1, 1, 10, 20))], size=(0, 0)))
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    assert boxes_of(opened(voc).splits["train"]) == [[0, 0, 10, 20]]


def test_a_missing_image_ends_the_run_or_is_left_out(voc: Path, opened: Opener) -> None:
    (voc / "JPEGImages" / "2.png").unlink()
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")

    with pytest.raises(DataError, match=r"2\.jpg"):
        opened(voc)
    source = opened(voc, on_bad_image="skip")

    assert source.splits["train"].names == ["JPEGImages/0.png"]  # type: ignore[attr-defined]
    assert list(source.bad_images) == [str(voc / "JPEGImages" / "2.jpg")]


def test_a_class_that_training_has_not_is_a_bad_box(voc: Path, opened: Opener) -> None:
    with pytest.raises(DataError, match=r"1\.xml, object 0: class 'dog' is not among those"):
        opened(voc)
    source = opened(voc, on_bad_box="clip")

    assert labels_of(source.splits["val"]) == [0]


def test_a_category_id_that_coco_does_not_list_is_a_bad_box(coco: Path, opened: Opener) -> None:
    text = coco_file(["train-0.png"], [(0, 8, [1, 1, 5, 5])], {3: "car", 7: "bus"})
    write(coco / "annotations" / "instances_train2017.json", text)

    with pytest.raises(DataError, match=r"annotation 0 \(id 0\): category 8 is not among"):
        opened(coco)


@pytest.mark.parametrize("box", [None, [1, 2, 3], ["a", 1, 2, 3], [1, 2, -3, 4], [1, 2, 0, 4]])
def test_a_coco_box_that_is_none_is_bad(coco: Path, opened: Opener, box: Any) -> None:
    text = coco_file(["train-0.png"], [(0, 3, box), (0, 3, [1, 1, 5, 5])], {3: "car", 90: "zebra"})
    write(coco / "annotations" / "instances_train2017.json", text)

    with pytest.raises(DataError, match=r"annotation 0 \(id 0\)"):
        opened(coco)
    source = opened(coco, on_bad_box="skip")

    assert boxes_of(source.splits["train"]) == [[1, 1, 6, 6]]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("2 0.5 0.5 0.1 0.1", "class 2 is not in the list of 2 classes"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not in the list of 2 classes"),
        ("cat 0.5 0.5 0.1 0.1", "class cat is no number"),
        ("0 0.5 0.5 0.1", "4 numbers; a box has 5"),
        ("0 20 12 10 4", "20 12 10 4 are no fractions"),
    ],
)
def test_a_bad_line_of_yolo_is_named(yolo: Path, opened: Opener, line: str, cause: str) -> None:
    path = write(yolo / "labels" / "train" / "1.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")

    with pytest.raises(DataError) as caught:
        opened(yolo)

    assert f"{path}, line 2: " in caught.value.cause
    assert cause in caught.value.cause


def test_data_without_a_single_box_are_refused(voc: Path, opened: Opener) -> None:
    write(voc / "ImageSets" / "Main" / "train.txt", "2\n")

    with pytest.raises(DataError, match="has a box"):
        opened(voc)


# --- what is told ------------------------------------------------------------------------------


def test_the_check_counts_boxes_and_finds_repeated_ones(voc: Path, opened: Opener) -> None:
    twice = [("cat", (1, 1, 10, 20))] * 2 + [("dog", (5, 5, 5, 5))]
    write(voc / "Annotations" / "0.xml", xml_of(twice))

    found = check_source(opened(voc, unsettled=True))

    assert found.splits["train"].boxes == {"cat": 2, "dog": 1}
    assert found.splits["train"].classes == {"cat": 1, "dog": 1}
    assert found.splits["train"].box_side_px is not None
    assert found.splits["train"].box_side_px.greatest == 14.1
    assert found.problems == []
    assert "train has 1 image without boxes" in found.notes
    assert "train has 1 box twice on the same image" in found.notes
    assert "train has 1 box below 2 x 2 px" in found.notes


def test_the_verb_prints_boxes_of_each_class_and_bad_ones(voc: Path) -> None:
    write(voc / "ImageSets" / "Main" / "train.txt", "0\n1\n")
    write(voc / "ImageSets" / "Main" / "val.txt", "2\n")
    good = CliRunner().invoke(data, ["check", str(voc)])
    write(voc / "Annotations" / "2.xml", xml_of([("cat", (30, 9, 10, 20))]))
    bad = CliRunner().invoke(data, ["check", str(voc)])

    assert good.exit_code == 0
    assert "2 (2 boxes)  0 (0 boxes)" in good.output
    assert "note: boxes count pixels from 1" in good.output
    assert bad.exit_code == 1
    assert "2.xml, object 0: the box (29, 8, 10, 20) is inverted" in bad.output
    assert "problem: 1 bad box" in bad.output


def test_a_missing_image_and_a_broken_file_are_problems_of_a_check(
    voc: Path, opened: Opener
) -> None:
    (voc / "JPEGImages" / "0.png").unlink()
    write(voc / "Annotations" / "1.xml", "<")

    found = check_source(opened(voc, unsettled=True))

    assert found.problems[0] == "2 images cannot be read"
    assert list(found.bad_images) == [
        str(voc / "JPEGImages" / "0.jpg"),
        str(voc / "JPEGImages" / "1.png"),
    ]


def test_moving_data_changes_no_fingerprint_and_a_box_does(voc: Path, opened: Opener) -> None:
    write(voc / "ImageSets" / "Main" / "val.txt", "0\n")
    before = opened(voc)
    moved = voc.rename(voc.parent / "elsewhere")
    same = opened(moved)
    write(moved / "Annotations" / "0.xml", xml_of([("cat", (1, 1, 10, 21))]))
    other = opened(moved)

    assert same.fingerprint() == before.fingerprint()
    assert "JPEGImages/0.png has another set of boxes" in (
        other.first_difference(before.record()) or ""
    )
