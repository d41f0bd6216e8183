"""Core's own cards stand for things that exist."""

import pytest

from zoo.builtin import (
    default_detection_recipe,
    default_recipe,
    default_segmentation_recipe,
)
from zoo.cards import DatasetCard
from zoo.config import Layer, check_options, resolve
from zoo.plugins import load_plugins
from zoo.registry import KINDS, Registry

CORE = Registry(load_plugins(found=()))
ENTRIES = [entry for kind in KINDS for entry in CORE.entries(kind)]
DATASETS = [entry.card for entry in CORE.entries("dataset") if isinstance(entry.card, DatasetCard)]
PROVIDED = ("train", "spec", "seed", "num_classes")
MODEL = Layer("test", {"model": {"name": "resnet34"}})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.full_name)
def test_every_factory_can_be_imported(entry):
    assert callable(CORE.load(entry))


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("classification", default_recipe()),
        ("segmentation", default_segmentation_recipe()),
        ("detection", default_detection_recipe()),
        *((card.task, card.settings) for card in DATASETS),
    ],
    ids=[
        "default",
        "default-segmentation",
        "default-detection",
        *(card.name for card in DATASETS),
    ],
)
def test_recipes_and_settings_are_part_of_a_config(task, values):
    config = resolve([MODEL, Layer("card", values)]).config

    options = config.transforms.options
    schema = CORE.load(CORE.get("task", task)).transforms_schema()
    checked = check_options("transforms", schema, options, provided=PROVIDED)
    assert checked.keys() == options.keys()


def test_the_digits_are_trained_small_and_never_mirrored():
    digits = CORE.get("dataset", "digits").card

    config = resolve([MODEL, Layer("card", digits.settings)]).config

    assert config.data.image_size == 32
    assert (config.training.epochs, config.training.batch_size) == (5, 32)
    assert config.transforms.options == {"crop": "none", "flip": 0.0, "shift": 1 / 16}


@pytest.mark.parametrize("name", ["classification", "segmentation", "detection"])
def test_the_default_dataset_of_a_task_needs_no_download(name):
    task = CORE.get("task", name).card

    assert CORE.get("dataset", task.default_dataset).card.download is False
