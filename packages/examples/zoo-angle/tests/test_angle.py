"""What zoo promises of every plugin, task, data set, metric, model and recipe, and what we do."""

import pytest
import torch
from PIL import Image
from zoo_angle.dials import dials
from zoo_angle.metrics import error_deg
from zoo_angle.task import AngleTask

from zoo_testkit import (
    DatasetContract,
    MetricContract,
    ModelContract,
    PluginContract,
    RecipeContract,
    TaskContract,
)


class TestPlugin(PluginContract):
    plugin = "angle"


class TestTask(TaskContract):
    task = "angle"


class TestDials(DatasetContract):
    dataset = "dials"


class TestError(MetricContract):
    metric = "angle-error"


class TestModel(ModelContract):
    model = "anglenet"


class TestRecipe(RecipeContract):
    recipe = "angle"


@pytest.mark.parametrize(
    ("arrow", "angle_deg", "error"),
    [((0, 1), 350, 10), ((0, 3), 10, 10), ((1, 0), 90, 0), ((0, -1), 359, 179)],
)
def test_an_error_is_the_short_way_round(arrow, angle_deg, error):
    found = error_deg(torch.tensor([arrow]).float(), torch.tensor([angle_deg]).float())

    assert found.item() == pytest.approx(error)


@pytest.mark.parametrize(("angle_deg", "x", "y"), [(0, 112, 30), (90, 190, 112), (180, 112, 190)])
def test_an_arrow_is_drawn_where_the_hand_points(angle_deg, x, y):
    prediction = {"angle_deg": angle_deg, "certainty": 1.0}

    picture = AngleTask(classes=()).draw(Image.new("L", (32, 32)), prediction)

    assert picture.getpixel((x, y)) == (255, 0, 0)


def test_a_dial_differs_from_its_ground_on_the_side_that_the_hand_points_to():
    split = dials(train=200, val=0)["train"]
    contrast = (split.images.float() - split.images.float().median()).abs()
    left, right = contrast[..., :16].mean(dim=(1, 2, 3)), contrast[..., 16:].mean(dim=(1, 2, 3))

    points_right = (split.targets["angles_deg"] - 90).abs() < 45

    assert (right > left)[points_right].float().mean() > 0.9
