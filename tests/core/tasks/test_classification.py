"""What the classification task answers, measures, says of data, draws and refuses."""

import inspect
import json
from typing import Any

import pytest
import torch
from PIL import Image

from zoo.cards import InputSpec
from zoo.config import check_options
from zoo.data.transforms import image_transforms
from zoo.errors import ConfigError, DataError, PluginCodeError
from zoo.structures import Batch, Sample, SampleKey
from zoo.tasks import ClassificationTask

CLASSES = ("Katze", "犬", "собака")


class Split:
    """Labels alone: what the task may ask for without decoding."""

    def __init__(self, *counts: int) -> None:
        self.classes = CLASSES[: len(counts)]
        self.labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))

    def __len__(self) -> int:
        return len(self.labels)


def _batch(logits: list[list[float]]) -> Batch:
    images = torch.tensor(logits)
    count = len(images)
    return Batch(images, torch.ones(count, 2, dtype=torch.int64), torch.arange(count), {})


def _predict(task: ClassificationTask, logits: list[list[float]]) -> list[dict[str, Any]]:
    return task.predict(torch.nn.Identity(), _batch(logits))


def test_an_answer_names_the_likeliest_classes_first() -> None:
    (answer,) = _predict(ClassificationTask(classes=CLASSES), [[0.0, 2.0, 1.0]])

    assert (answer["label"], answer["index"]) == ("犬", 1)
    assert [a["label"] for a in answer["top"]] == ["犬", "собака", "Katze"]
    assert sum(a["score"] for a in answer["top"]) == pytest.approx(1.0)
    assert answer["score"] == answer["top"][0]["score"]


def test_equal_scores_are_in_the_order_of_the_classes() -> None:
    (answer,) = _predict(ClassificationTask(classes=CLASSES), [[1.0, 1.0, 1.0]])

    assert [a["index"] for a in answer["top"]] == [0, 1, 2]


@pytest.mark.parametrize(("top_k", "listed"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_no_more_classes_are_listed_than_there_are(top_k: int, listed: int) -> None:
    (answer,) = _predict(ClassificationTask(classes=CLASSES, top_k=top_k), [[0.0, 2.0, 1.0]])

    assert len(answer["top"]) == listed


def test_a_network_of_sigmoids_answers_with_sigmoids() -> None:
    task = ClassificationTask(classes=CLASSES, loss="binary_cross_entropy")

    (answer,) = _predict(task, [[0.0, -9.0, -9.0]])

    assert answer["score"] == 0.5


def test_answers_are_ready_for_json() -> None:
    answers = _predict(ClassificationTask(classes=CLASSES), [[0.0, 2.0, 1.0]] * 2)

    assert json.loads(json.dumps(answers)) == answers


def test_training_measures_little_and_evaluation_everything() -> None:
    task = ClassificationTask(classes=CLASSES)

    assert list(task.metrics("train")) == ["accuracy"]
    assert set(task.metrics("val")) == {"accuracy", "class-scores", "calibration-error"}


def test_metrics_are_fresh_each_time() -> None:
    task = ClassificationTask(classes=CLASSES)
    batch = Batch(
        torch.eye(3), torch.ones(3, 2), torch.arange(3), {"labels": torch.tensor([0, 1, 2])}
    )

    task.metrics("train")["accuracy"].update(batch.images, batch)

    assert int(task.metrics("train")["accuracy"].states["images"]) == 0


def test_its_headline_is_among_what_evaluation_measures() -> None:
    task = ClassificationTask(classes=CLASSES)

    names = {f"val/{name}" for m in task.metrics("val").values() for name in m.compute()}

    assert task.headline in names


def test_check_data_says_the_counts_of_every_split() -> None:
    lines = ClassificationTask(classes=CLASSES).check_data(
        {"train": Split(3, 4, 5), "val": Split(1, 1, 0)}
    )

    assert lines == [
        "train: 12 images (Katze 3, 犬 4, собака 5)",
        "val: 2 images (Katze 1, 犬 1, собака 0)",
    ]


def test_check_data_says_that_classes_are_imbalanced() -> None:
    lines = ClassificationTask(classes=CLASSES).check_data({"train": Split(3, 30, 5)})

    assert lines[-1].startswith("train is imbalanced: 3 images of Katze, 30 of 犬;")


@pytest.mark.parametrize("classes", [(), ("cat",)])
def test_fewer_than_two_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="class"):
        ClassificationTask(classes=classes).check_data({})


def test_balanced_weights_count_every_class_alike() -> None:
    task = ClassificationTask(classes=CLASSES, class_weights="balanced")
    split = Split(2, 4, 6)

    task.check_data({"train": split})

    weights = torch.tensor(task.options()["class_weights"])
    assert (weights * torch.tensor([2.0, 4.0, 6.0])).tolist() == pytest.approx([4.0, 4.0, 4.0])


def test_what_balanced_came_to_mean_builds_the_same_task_again() -> None:
    task = ClassificationTask(classes=CLASSES, class_weights="balanced", label_smoothing=0.1)
    task.check_data({"train": Split(2, 4, 6)})

    options = json.loads(json.dumps(task.options()))
    checked = check_options("task", ClassificationTask, options, provided=("classes",))
    again = ClassificationTask(classes=CLASSES, **checked)

    assert again.options() == task.options()


def test_balanced_weights_of_a_class_without_images_are_refused() -> None:
    task = ClassificationTask(classes=CLASSES, class_weights="balanced")

    with pytest.raises(DataError, match="no training image of 犬"):
        task.check_data({"train": Split(2, 0, 6)})


def test_balanced_weights_without_training_data_are_refused() -> None:
    task = ClassificationTask(classes=CLASSES, class_weights="balanced")
    batch = Batch(torch.eye(3), torch.ones(3, 2), torch.arange(3), {"labels": torch.arange(3)})

    with pytest.raises(ConfigError, match="no training data"):
        task.loss_counts(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"label_smoothing": float("nan")}, "label_smoothing"),
        ({"target_threshold": 0.2}, "target_threshold belongs"),
        ({"top_k": 0}, "top_k"),
        ({"class_weights": [1.0]}, "1 number for 3 classes"),
        ({"class_weights": [1.0, float("nan"), 1.0]}, "finite"),
        ({"class_weights": [1.0, -1.0, 1.0]}, "not negative"),
        ({"class_weights": [0.0, 0.0, 0.0]}, "not all zero"),
        ({"class_weights": "even"}, "unknown value 'even'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClassificationTask(classes=CLASSES, **options)


def test_its_transforms_are_those_of_images() -> None:
    task = ClassificationTask(classes=CLASSES)
    spec = InputSpec(channels=3, size_px=8, resize_px=None)
    photo = Sample(torch.zeros(3, 20, 30, dtype=torch.uint8), {"labels": 1})

    sample = task.transforms("val", spec, seed=0).sample

    assert sample is not None
    assert sample(photo, SampleKey(0, 0)).image.shape == (3, 8, 8)
    assert task.transforms_schema() is image_transforms


def test_every_option_of_the_image_transforms_is_taken() -> None:
    task = ClassificationTask(classes=CLASSES)
    parameters = inspect.signature(image_transforms).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    transforms = task.transforms("train", InputSpec(), seed=0, **defaults)

    assert transforms.sample is not None


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 900), (900, 3), (1600, 1200)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_picture_shows_the_image_uncovered_above_the_answer(
    size: tuple[int, int], mode: str
) -> None:
    task = ClassificationTask(classes=CLASSES)
    image = Image.new("RGB", size, (200, 30, 30)).convert(mode)
    shown = image.convert("RGB").getpixel((0, 0))
    (answer,) = _predict(task, [[0.0, 2.0, 1.0]])

    picture = task.draw(image, answer)

    assert picture.mode == "RGB"
    assert picture.width >= 240 or size[1] > size[0]
    assert picture.height >= size[1] + 3 * 14
    assert picture.getpixel((picture.width // 2, 0)) == shown
    assert image.size == size


@pytest.mark.parametrize("label", ["", "x" * 500, "犬" * 50, "a\nb\tc", "🦭", "\u202egnp.x"])
def test_any_class_name_can_be_drawn(label: str) -> None:
    task = ClassificationTask(classes=(label, "b"))
    (answer,) = _predict(task, [[2.0, 0.0]])

    picture = task.draw(Image.new("RGB", (64, 64)), answer)

    strip = picture.crop((0, picture.height - 30, picture.width, picture.height))
    assert strip.getextrema()[0][1] > 200
    assert picture.width < 2000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "a NoneType"),
        ((torch.zeros(2, 3),), "a tuple"),
        (torch.zeros(()), r"float32 of shape \(\)"),
        (torch.zeros(2, 3, 1), r"float32 of shape \(2, 3, 1\)"),
        (torch.zeros(1, 3), r"float32 of shape \(1, 3\)"),
        (torch.zeros(2, 4), r"float32 of shape \(2, 4\)"),
        (torch.zeros(2, 3, dtype=torch.int64), r"int64 of shape \(2, 3\)"),
    ],
)
def test_an_answer_that_is_no_logits_is_the_models_fault(answer: Any, said: str) -> None:
    task = ClassificationTask(classes=CLASSES)
    batch = _batch([[0.0, 2.0, 1.0]] * 2)

    with pytest.raises(PluginCodeError, match=f"answers with {said}, not with .* \\(2, 3\\)"):
        task.step(lambda _: answer, batch)
