"""The ways in which people keep boxes: names, folders and spellings that are not the textbook's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.config import DataConfig
from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import Source
from zoo.data.sources import check_source, open_source
from zoo.errors import DataError
from zoo.registry import default_registry

Write = Callable[..., Path]
SIZE = (40, 30)
"""Width and height of the images."""
BOX = [4, 3, 20, 15]


def opened(path: Path, **options: Any) -> Source:
    return open_source(
        str(path),
        registry=default_registry(),
        data=DataConfig(val_fraction=0.5),
        message=lambda _: None,
        **options,
    )


def boxes_of(source: Source) -> set[tuple[str, tuple[float, ...]]]:
    """Every class and box of a source, in whole px."""
    return {
        (source.classes[int(label)], tuple(round(at) for at in box))
        for split in source.splits.values()
        for index in range(len(split))
        for label, box in zip(
            *(split.load(index).targets[name].tolist() for name in ("labels", "boxes")),  # type: ignore[union-attr]
            strict=True,
        )
    }


THE_BOX = {("cat", tuple(BOX))}
XML = (
    "<annotation><object><name>cat</name><bndbox><xmin>5</xmin><ymin>4</ymin><xmax>20</xmax>"
    "<ymax>15</ymax></bndbox></object></annotation>"
)


def write_all(root: Path, texts: Mapping[str, str]) -> Path:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


# --- Pascal VOC ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["my cat {}", "my cat {}.png", "JPEGImages/my cat {}.png", "/gone/JPEGImages/my cat {}.png"],
)
def test_a_list_names_images_or_their_files(tmp_path: Path, write_image: Write, line: str) -> None:
    for number in (1, 2):
        write_image(tmp_path / "JPEGImages" / f"my cat {number}.png", number, SIZE)
        write_all(tmp_path, {f"Annotations/my cat {number}.xml": XML})
    lists = {"train": line.format(1), "val": line.format(2)}
    write_all(tmp_path, {f"ImageSets/Main/{name}.txt": text for name, text in lists.items()})

    source = opened(tmp_path)

    assert source.splits["train"].describe(0).endswith("my cat 1.png")
    assert boxes_of(source) == THE_BOX


def test_a_list_may_have_a_number_after_each_name(tmp_path: Path, write_image: Write) -> None:
    for number in (1, 2):
        write_image(tmp_path / "JPEGImages" / f"{number}.png", number, SIZE)
        write_all(tmp_path, {f"Annotations/{number}.xml": XML})
    write_all(tmp_path, {"ImageSets/Main/train.txt": "1  -1\n", "ImageSets/Main/val.txt": "2  1\n"})

    assert boxes_of(opened(tmp_path)) == THE_BOX


@pytest.mark.parametrize(
    ("image", "xml"),
    [
        ("{split}/JPEGImages/{split}.png", "{split}/Annotations/{split}.xml"),
        ("images/{split}.png", "annotations/xmls/{split}.xml"),
    ],
    ids=["both folders in each split", "as the Oxford pets"],
)
def test_xml_files_lie_where_people_put_them(
    tmp_path: Path, write_image: Write, image: str, xml: str
) -> None:
    for number, split in enumerate(("train", "val")):
        write_image(tmp_path / image.format(split=split), number, SIZE)
        write_all(tmp_path, {xml.format(split=split): XML})

    source = opened(tmp_path)

    assert (source.layout, boxes_of(source)) == ("voc", THE_BOX)


@pytest.fixture
def beside(tmp_path: Path, write_image: Write) -> Path:
    """``0.png`` and ``1.png`` with their XML files."""
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
        write_all(tmp_path, {f"{number}.xml": XML})
    return tmp_path


def test_xml_may_be_in_a_namespace(beside: Path) -> None:
    spaced = XML.replace("<annotation>", '<annotation xmlns="http://host/voc">')
    write_all(beside, {"0.xml": spaced, "1.xml": spaced})

    assert boxes_of(opened(beside)) == THE_BOX


def test_xml_of_something_else_is_no_image_without_objects(beside: Path) -> None:
    write_all(beside, {"0.xml": "<annotations><image><box/></image></annotations>"})

    with pytest.raises(DataError, match=r"0\.xml is no annotation of objects, but <annotations>"):
        opened(beside)


def test_where_no_annotation_can_be_read_the_first_says_why(beside: Path) -> None:
    write_all(beside, {"0.xml": "", "1.xml": ""})

    with pytest.raises(DataError, match="has a box") as caught:
        opened(beside)

    assert caught.value.cure == f"{beside / '0.xml'} is empty, and 1 more cannot be read."


def test_an_object_without_a_name_has_no_class(beside: Path) -> None:
    write_all(beside, {"0.xml": XML.replace("cat", "")})

    with pytest.raises(DataError, match=r"0\.xml, object 0: it has no class"):
        opened(beside)


def test_a_wrong_size_names_the_image(tmp_path: Path, write_image: Write) -> None:
    write_image(tmp_path / "0.png", 0, SIZE)
    table = write_all(
        tmp_path, {"t.csv": "path,width,height,x1,y1,x2,y2,label\n0.png,9,9,1,1,5,5,a"}
    )

    with pytest.raises(DataError, match=r"0\.png is said to be 9 x 9 px, and is 40 x 30"):
        opened(table / "t.csv")


# --- COCO ----------------------------------------------------------------------------------------


def coco_text(names: list[str], **changed: Any) -> str:
    """An object on each image; ``changed`` of each annotation."""
    annotation = {"category_id": 3, "bbox": [4, 3, 16, 12], **changed}
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
            "annotations": [{"image_id": number, **annotation} for number in range(len(names))],
            "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "void"}],
        }
    )


@pytest.fixture
def two_images(tmp_path: Path, write_image: Write) -> Path:
    for number in range(2):
        write_image(tmp_path / "images" / f"{number}.png", number, SIZE)
    return tmp_path


@pytest.mark.parametrize("prefix", ["", "images/", "images\\"])
def test_a_folder_with_one_coco_file_is_recognised(two_images: Path, prefix: str) -> None:
    names = [f"{prefix}{number}.png" for number in range(2)]
    write_all(two_images, {"labels.json": coco_text(names)})

    source = opened(two_images)

    assert (source.layout, boxes_of(source)) == ("coco", THE_BOX)


def test_a_coco_file_for_each_split_may_lie_beside_the_images(two_images: Path) -> None:
    write_all(two_images, {"train.json": coco_text(["0.png"]), "val.json": coco_text(["1.png"])})

    source = opened(two_images)

    assert source.splits["train"].describe(0).endswith("0.png")
    assert boxes_of(source) == THE_BOX


def test_class_folders_with_a_coco_file_beside_them_stay_class_folders(
    tmp_path: Path, write_image: Write
) -> None:
    names = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(2)]
    for number, name in enumerate(names):
        write_image(tmp_path / name, number, SIZE)
    write_all(tmp_path, {"meta.json": coco_text(names)})

    assert opened(tmp_path).layout == "folders"


@pytest.mark.parametrize("key", ["3", 3.0])
def test_coco_ids_may_be_text_or_floats(two_images: Path, key: Any) -> None:
    write_all(two_images, {"labels.json": coco_text(["0.png", "1.png"], category_id=key)})

    assert boxes_of(opened(two_images)) == THE_BOX


@pytest.mark.parametrize("box", [None, []])
def test_without_a_coco_box_the_polygons_give_one(two_images: Path, box: Any) -> None:
    polygons = [[4, 3, 20, 3, 10, 10], [4, 15, 6, 6, 7, 7]]
    text = coco_text(["0.png", "1.png"], bbox=box, segmentation=polygons)
    write_all(two_images, {"labels.json": text})

    assert boxes_of(opened(two_images)) == THE_BOX


def test_a_category_that_nothing_is_of_is_a_note_and_no_problem(two_images: Path) -> None:
    write_all(two_images, {"labels.json": coco_text(["0.png", "1.png"])})

    found = check_source(opened(two_images, unsettled=True))

    assert found.problems == []
    assert "train has no images of void" in found.notes


def test_of_many_categories_that_nothing_is_of_the_first_are_named(two_images: Path) -> None:
    content = json.loads(coco_text(["0.png", "1.png"]))
    content["categories"] += [{"id": 10 + n, "name": f"c{n}"} for n in range(20)]
    write_all(two_images, {"labels.json": json.dumps(content)})

    found = check_source(opened(two_images, unsettled=True))

    assert "train has no images of void, c0, c1, c2, c3, c4, c5, c6, c7, c8 and 11 more" in (
        found.notes
    )


def test_json_without_end_is_no_bug(two_images: Path) -> None:
    write_all(two_images, {"labels.json": "[" * 100_000})

    with pytest.raises(DataError, match=r"labels\.json is no JSON"):
        opened(two_images / "labels.json")


def test_a_coco_file_without_annotations_has_nothing_to_learn(two_images: Path) -> None:
    content = {**json.loads(coco_text(["0.png", "1.png"])), "annotations": []}
    write_all(two_images, {"labels.json": json.dumps(content)})

    with pytest.raises(DataError, match=r"no image of .* has a box") as caught:
        opened(two_images)

    assert (
        caught.value.cure == f"Those of images/0.png are expected in {two_images / 'labels.json'}."
    )


# --- YOLO ----------------------------------------------------------------------------------------

LINE = "0 0.3 0.3 0.4 0.4\n"
"""The box, as fractions of 40 x 30 px."""
YAML = "train: images/train\nval: images/val\nnames: [cat]\n"


@pytest.fixture
def yolo(tmp_path: Path, write_image: Write) -> Path:
    for number, split in enumerate(("train", "val")):
        write_image(tmp_path / "images" / split / "0.png", number, SIZE)
        write_all(tmp_path, {f"labels/{split}/0.txt": LINE})
    return write_all(tmp_path, {"data.yaml": YAML})


def test_a_yaml_of_another_name_names_the_classes_too(yolo: Path) -> None:
    (yolo / "data.yaml").rename(yolo / "cats.yaml")
    write_all(yolo, {"training.yaml": "epochs: 5\n"})

    assert boxes_of(opened(yolo)) == THE_BOX


def test_text_files_may_lie_beside_images_with_a_list_of_classes(
    tmp_path: Path, write_image: Write
) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
        write_all(tmp_path, {f"{number}.txt": LINE})
    write_all(tmp_path, {"classes.txt": "cat\n"})

    source = opened(tmp_path)

    assert (source.layout, boxes_of(source)) == ("yolo", THE_BOX)


def test_a_test_split_that_an_export_only_names_is_a_note(yolo: Path) -> None:
    write_all(yolo, {"data.yaml": f"{YAML}test: ../test/images\n"})

    source = opened(yolo)

    train = source.splits["train"]
    assert sorted(source.splits) == ["train", "val"]
    assert isinstance(train, BoxedFiles)
    assert train.notes[0].startswith("there is no test split: ")


@pytest.mark.parametrize("nothing", ["null", "~", ""])
def test_a_split_of_nothing_is_none(yolo: Path, nothing: str) -> None:
    write_all(yolo, {"data.yaml": f"{YAML}test: {nothing}\n"})

    assert sorted(opened(yolo).splits) == ["train", "val"]


def test_a_list_of_images_may_count_from_the_yaml(yolo: Path) -> None:
    yaml = YAML.replace("images/train", "lists/train.txt")
    write_all(yolo, {"data.yaml": yaml, "lists/train.txt": "./images/train/0.png\n"})

    assert boxes_of(opened(yolo)) == THE_BOX


def test_a_class_may_be_called_no(yolo: Path) -> None:
    write_all(yolo, {"data.yaml": YAML.replace("[cat]", "[no, 007, null]")})

    assert opened(yolo).classes == ("no", "007", "null")


def test_two_classes_of_one_name_are_refused(yolo: Path) -> None:
    write_all(yolo, {"data.yaml": YAML.replace("[cat]", "[cat, cat]")})

    with pytest.raises(DataError, match=r"data\.yaml has two classes 'cat'"):
        opened(yolo)


def test_keypoints_after_a_box_are_no_polygon(yolo: Path) -> None:
    write_all(yolo, {"data.yaml": f"{YAML}kpt_shape: [2, 2]\n"})
    write_all(yolo, {"labels/train/0.txt": f"{LINE.strip()} 0.9 0.9 0.1 0.9\n"})

    assert boxes_of(opened(yolo)) == THE_BOX


def test_folders_of_images_and_labels_that_are_exchanged_are_said_to_be(
    tmp_path: Path, write_image: Write
) -> None:
    write_image(tmp_path / "labels" / "0.png", 0, SIZE)
    write_all(tmp_path, {"images/0.txt": LINE})

    with pytest.raises(DataError, match=r"images holds text files and no images"):
        opened(tmp_path)


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("x_min,y_min,x_max,y_max", "4,3,20,15"),
        ("XMin,XMax,YMin,YMax", "4,20,3,15"),
        ("x0,y0,x1,y1", "4,3,20,15"),
        ("left,top,right,bottom", "4,3,20,15"),
        ("x,y,w,h", "4,3,16,12"),
        ("x,y,width,height", "4,3,16,12"),
        ("xmin,ymin,xmax,ymax", "0.1,0.1,0.5,0.5"),
    ],
)
def test_corners_are_spelled_in_several_ways(
    tmp_path: Path, write_image: Write, columns: str, values: str
) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    lines = [f"ImageID,{columns},LabelName", f"0.png,{values},cat", f"1.png,{values},cat"]
    write_all(tmp_path, {"boxes.csv": "\n".join(lines)})

    assert boxes_of(opened(tmp_path / "boxes.csv")) == THE_BOX


def test_fractions_in_a_table_are_said_to_be_taken_for_some(
    tmp_path: Path, write_image: Write
) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    lines = [f"{number}.png,0.1,0.1,0.5,0.5,cat" for number in range(2)]
    write_all(tmp_path, {"boxes.csv": "\n".join(lines)})

    found = check_source(opened(tmp_path / "boxes.csv", unsettled=True))

    assert "boxes are fractions of the width and height of their images" in found.notes


def test_a_table_without_names_may_have_a_split(tmp_path: Path, write_image: Write) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", number, SIZE)
    write_all(tmp_path, {"t.csv": "0.png,4,3,20,15,cat,train\n1.png,4,3,20,15,cat,val\n"})

    source = opened(tmp_path / "t.csv")

    assert source.splits["val"].describe(0).endswith("1.png")
    assert boxes_of(source) == THE_BOX


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_with_the_data_in_it_is_pointed_to(tmp_path: Path, write_image: Write) -> None:
    inner = tmp_path / "VOC2007"
    write_image(inner / "JPEGImages" / "0.png", 0, SIZE)
    write_all(inner, {"Annotations/0.xml": XML})

    with pytest.raises(DataError) as caught:
        opened(tmp_path)

    assert caught.value.cure.endswith(f"Did you mean {inner}?")
