"""What every data set, task, metric and recipe promises, of those that come with core."""

import torch
from torch import Tensor, nn

from zoo.structures import Detections, DetectorOutput, LossSum
from zoo_testkit import (
    DatasetContract,
    MetricContract,
    PluginContract,
    RecipeContract,
    TaskContract,
)


def classifier(*, num_classes: int, in_channels: int) -> nn.Module:
    """The simplest that tells images of 32 px apart."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 32 * 32, num_classes))


def dense(*, num_classes: int, in_channels: int) -> nn.Module:
    """The simplest that answers for each pixel."""
    return nn.Conv2d(in_channels, num_classes, 3, padding=1)


class Detector(nn.Module):
    """The simplest that answers with boxes: the image's quarters, each with a score per class."""

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.scores = nn.Conv2d(in_channels, num_classes, 3, padding=1)

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: dict[str, Tensor] | None = None,
        *,
        keys: object = None,
        detect: bool = True,
    ) -> DetectorOutput:
        logits = nn.functional.adaptive_avg_pool2d(self.scores(images), 2).flatten(2)
        losses = {}
        if targets is not None:
            wanted = (targets["labels"] >= 0).sum(1)
            losses = {"count": LossSum((logits.sum((1, 2)) - wanted).square().sum(), len(images))}
        found = [
            self.found(of.detach(), *size) for of, size in zip(logits, sizes.tolist(), strict=True)
        ]
        return DetectorOutput(losses, found if detect else [])

    def found(self, logits: Tensor, height: int, width: int) -> Detections:
        corners = torch.tensor([[0.0, 0], [width / 2, 0], [0, height / 2], [width / 2, height / 2]])
        boxes = torch.cat([corners, corners + torch.tensor([width / 2, height / 2])], 1)
        scores, order = logits.sigmoid().flatten().sort(descending=True)
        return Detections(boxes[order % 4], scores, order // 4)


class TestCore(PluginContract):
    plugin = "core"


class TestDatasets(DatasetContract):
    dataset = "digits digit-scenes digit-boxes"


class TestClassification(TaskContract):
    task = "classification"
    model = classifier


class TestSegmentation(TaskContract):
    task = "segmentation"
    model = dense


class TestDetection(TaskContract):
    task = "detection"
    model = Detector


class TestMetricsOfClassification(MetricContract):
    metric = "accuracy class-scores confusion-matrix calibration-error"
    model = classifier


class TestMetricsOfSegmentation(MetricContract):
    metric = "region-scores boundary-scores rand-score"
    model = dense


class TestMetricsOfDetection(MetricContract):
    metric = "box-precision voc-precision"
    model = Detector


class TestRecipes(RecipeContract):
    recipe = "core:*"
