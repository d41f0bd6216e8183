"""The detection task: every image as if alone, boxes in its own px, losses in both modes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zoo.cards import InputSpec
from zoo.errors import ConfigError, DataError, PluginCodeError
from zoo.structures import (
    EVERY_LOSS,
    Batch,
    Detections,
    DetectorOutput,
    LossSum,
    SampleKeys,
    loss_weights,
)
from zoo.tasks import DetectionTask

CLASSES = ("cat", "dog")
SIZES = [(40, 50), (64, 64), (33, 20)]


class Detector(nn.Module):
    """One box in each image; its score looks at every pixel, its loss at every object."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.calls: list[dict[str, Any]] = []

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Mapping[str, Tensor] | None = None,
        *,
        keys: SampleKeys | None = None,
        detect: bool = True,
    ) -> DetectorOutput:
        self.calls.append({"shape": tuple(images.shape), "keys": keys, "detect": detect})
        maps = self.features(nn.functional.relu(self.features(images)[:, :3]))
        scores = maps.square().mean((1, 2, 3)).sigmoid()
        losses = {}
        if targets is not None:
            objects = (targets["labels"] >= 0).sum(1)
            losses = {"own": LossSum((scores * objects).sum(), len(images), weight=2.0)}
        found = [
            Detections(
                torch.tensor([[1.0, 2.0, width / 2, height / 2]]),
                score.detach()[None],
                torch.tensor([1]),
            )
            for score, (height, width) in zip(scores, sizes.tolist(), strict=True)
        ]
        return DetectorOutput(losses, found if detect else [])


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector().eval()


def padded_batch(sizes: list[tuple[int, int]]) -> Batch:
    height, width = (max(column) for column in zip(*sizes, strict=True))
    images = torch.zeros(len(sizes), 3, height, width)
    for row, (h, w) in enumerate(sizes):
        images[row, :, :h, :w] = torch.randn(3, h, w, generator=torch.Generator().manual_seed(row))
    count = len(sizes)
    boxes = torch.tensor([[2.0, 3, 12, 13], [4, 4, 9, 19]]).expand(count, 2, 4).clone()
    labels = torch.tensor([[0, 1], [1, -1], [-1, -1]]).repeat(count, 1)[:count]
    keys = SampleKeys.of((4, row, 0) for row in range(count))
    targets = {"boxes": boxes, "labels": labels}
    return Batch(images, torch.tensor(sizes), torch.arange(count), targets, keys)


def task(**options: Any) -> DetectionTask:
    return DetectionTask(classes=CLASSES, **options)


def test_a_batch_changes_no_bit_of_an_evaluated_image(detector: Detector) -> None:
    batch = padded_batch(SIZES)

    whole = task().step(detector, batch)

    parts = [task().step(detector, batch.rows(row, row + 1)) for row in range(len(SIZES))]
    assert [of.scores for of in whole.predictions] == [of.predictions[0].scores for of in parts]
    assert float(whole.losses["own"].total.detach()) == pytest.approx(
        sum(float(of.losses["own"].total.detach()) for of in parts), rel=1e-6
    )
    assert whole.losses["own"].count == len(SIZES)
    assert whole.losses["own"].weight == 2.0


def test_the_model_sees_multiples_of_its_stride_and_the_keys_of_the_images(
    detector: Detector,
) -> None:
    batch = padded_batch(SIZES)

    task().step(detector, batch)

    assert [call["shape"][2:] for call in detector.calls] == [(64, 64), (64, 64), (64, 32)]
    assert [call["keys"] for call in detector.calls] == [[(4, row, 0)] for row in range(3)]


def test_training_is_one_pass_that_makes_no_detections(detector: Detector) -> None:
    step = task().step(detector.train(), padded_batch(SIZES))

    assert len(detector.calls) == 1
    assert not detector.calls[0]["detect"]
    assert step.predictions == []
    assert step.losses["own"].total.requires_grad


def test_both_modes_have_losses(detector: Detector) -> None:
    evaluated = task().step(detector, padded_batch([(64, 64)] * 2)).losses["own"]

    trained = task().step(detector.train(), padded_batch([(64, 64)] * 2)).losses["own"]

    assert float(evaluated.total.detach()) == pytest.approx(float(trained.total.detach()))


def test_one_count_is_for_every_loss(detector: Detector) -> None:
    batch = padded_batch(SIZES)

    counts = task().loss_counts(batch)

    losses = task().step(detector, batch).losses
    assert counts == {EVERY_LOSS: 3.0}
    assert [float(weight) for weight in loss_weights(losses, counts)] == [pytest.approx(2 / 3)]


def test_predictions_are_in_px_of_the_images_themselves(detector: Detector) -> None:
    batch = padded_batch([(40, 50), (64, 64)])
    batch = Batch(
        batch.images,
        batch.sizes,
        batch.ids,
        {"own_sizes": torch.tensor([[80.0, 200.0], [64.0, 64.0]])},
        batch.keys,
    )

    answers = task(least_score=0).predict(detector, batch)

    assert answers[0]["objects"][0]["box_px"] == pytest.approx([4.0, 4.0, 100.0, 40.0])
    assert answers[1]["objects"][0]["box_px"] == pytest.approx([1.0, 2.0, 32.0, 32.0])
    assert answers[0]["objects"][0]["label"] == "dog"
    json.dumps([task().as_json(answer) for answer in answers], allow_nan=False)


def test_predictions_show_what_scores_enough(detector: Detector) -> None:
    answer = task(least_score=1.0).predict(detector, padded_batch([(40, 50)]))[0]

    assert answer == {"objects": []}
    assert task(least_score=1.0).describe(answer) == "nothing with a score of 1 or more"


def test_a_line_of_text_has_the_scores_of_each_class() -> None:
    objects = [
        {"label": "dog", "index": 1, "score": 0.9, "box_px": [0, 0, 5, 5]},
        {"label": "cat", "index": 0, "score": 0.8, "box_px": [0, 0, 5, 5]},
        {"label": "dog", "index": 1, "score": 0.6, "box_px": [0, 0, 5, 5]},
    ]

    line = task().describe({"objects": objects})

    assert line == "dog 0.90 0.60  cat 0.80"


def test_a_picture_has_a_box_in_its_place() -> None:
    image = Image.new("RGB", (400, 300), "white")
    found = {"label": "dog", "index": 1, "score": 0.9, "box_px": [100.0, 120.0, 200.0, 220.0]}

    picture = task().draw(image, {"objects": [found]})

    colour = picture.getpixel((100, 170))
    assert picture.size == (400, 300)
    assert colour == picture.getpixel((199, 170)) == picture.getpixel((150, 219))
    assert colour != (255, 255, 255)
    assert picture.getpixel((150, 170)) == (255, 255, 255)
    assert picture.getpixel((104, 110)) != (255, 255, 255)
    assert image.getpixel((100, 170)) == (255, 255, 255)


def test_a_box_on_the_border_and_one_without_area_are_drawn() -> None:
    image = Image.new("L", (30, 20))
    boxes = [[0.0, 0.0, 30.0, 20.0], [5.0, 5.0, 5.0, 5.0]]
    objects = [{"label": "cat", "index": 0, "score": 1.0, "box_px": box} for box in boxes]

    picture = task().draw(image, {"objects": objects})

    assert picture.width >= 240


def test_training_has_no_metrics_and_evaluation_has_the_headline() -> None:
    measured = {f"val/{key}" for of in task().metrics("val").values() for key in of.compute()}

    assert task().metrics("train") == {}
    assert DetectionTask.headline in measured


def test_metrics_count_in_px_of_the_images_themselves() -> None:
    batch = padded_batch([(64, 64)])
    batch = Batch(
        batch.images,
        batch.sizes,
        batch.ids,
        {**batch.targets, "own_sizes": torch.tensor([[640.0, 640.0]])},
    )
    found = [Detections(batch.targets["boxes"][0], torch.ones(2), batch.targets["labels"][0])]
    metric = task().metrics("val")["box-precision"]

    metric.update(found, batch)

    values = metric.compute()
    assert values["ap_large"] == values["ap"] == pytest.approx(1.0)
    assert values["ap_small"] != values["ap_small"]


def test_a_model_that_has_no_losses_in_evaluation_says_none(detector: Detector) -> None:
    def silent(*args: Any, **options: Any) -> DetectorOutput:
        return DetectorOutput({}, Detector.forward(detector, *args, **options).detections)

    detector.forward = silent  # type: ignore[method-assign]

    step = task().step(detector, padded_batch(SIZES))

    assert step.losses == {}
    assert len(step.predictions) == len(SIZES)


def test_a_score_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="least_score"):
        task(least_score=1.5)


def test_data_without_classes_are_refused() -> None:
    with pytest.raises(DataError, match="no class"):
        DetectionTask(classes=()).check_data({})


def test_options_build_the_task_again() -> None:
    again = DetectionTask(classes=CLASSES, **task(least_score=0.3).options())

    assert again.least_score == 0.3


def test_evaluation_transforms_keep_an_image_that_needs_no_change() -> None:
    transforms = task().transforms("val", InputSpec(size_px=64), seed=0, resize="none")

    batch = transforms.batch(padded_batch([(64, 64)]))

    assert batch.images.shape == (1, 3, 64, 64)
    assert batch.targets["own_sizes"].tolist() == [[64.0, 64.0]]


class Answering(nn.Module):
    """Gives one answer, whatever it is asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (({}, []), "answers with a tuple, not a DetectorOutput"),
        (DetectorOutput({}, None), "detections of the model are None"),  # type: ignore[arg-type]
        (DetectorOutput({}, []), "are 0, and should be a list of one for each of 1 images"),
    ],
)
def test_an_answer_that_is_no_output_is_the_models_fault(answer: Any, said: str) -> None:
    model = Answering(answer).eval()

    with pytest.raises(PluginCodeError, match=said):
        task().predict(model, padded_batch(SIZES))


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_beyond_the_classes_is_the_models_fault(label: int) -> None:
    found = Detections(torch.zeros(1, 4), torch.ones(1), torch.tensor([label]))
    model = Answering(DetectorOutput({}, [found])).eval()

    with pytest.raises(PluginCodeError, match=f"of class {label}, and there are 0 to 1"):
        task().predict(model, padded_batch(SIZES))
