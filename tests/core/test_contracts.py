"""What every data set, task, metric and recipe promises, of those that come with core."""

from torch import nn

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


class TestCore(PluginContract):
    plugin = "core"


class TestDatasets(DatasetContract):
    dataset = "digits digit-scenes"


class TestClassification(TaskContract):
    task = "classification"
    model = classifier


class TestSegmentation(TaskContract):
    task = "segmentation"
    model = dense


class TestMetricsOfClassification(MetricContract):
    metric = "accuracy class-scores confusion-matrix calibration-error"
    model = classifier


class TestMetricsOfSegmentation(MetricContract):
    metric = "region-scores boundary-scores rand-score"
    model = dense


class TestRecipes(RecipeContract):
    recipe = "core:*"
