"""The shipped table says what the installed torchvision says, and listing it imports nothing."""

import json
import random

import pytest
import torchvision
from torchvision.models import get_model_weights

from zoo.cards import read_card_table
from zoo_torchvision import table
from zoo_torchvision.plugin import TABLE, zoo_models

SHARED, TEXTS = read_card_table(TABLE)
SHIPPED = {name: json.loads(text) for name, text in TEXTS.items()}
SAMPLE = random.Random(7).sample(sorted(SHIPPED), 6)

made_for_installed = pytest.mark.skipif(
    torchvision.__version__.partition("+")[0] != SHARED["version"],
    reason="the table is for another torchvision, and zoo says so",
)


@made_for_installed
def test_every_model_of_the_three_tasks_is_in_the_table():
    names = {task: table.model_names(task) for task in table.TASKS}

    shipped = {
        task: [name for name, row in SHIPPED.items() if row["task"] == task] for task in table.TASKS
    }
    assert shipped == names
    assert [len(names[task]) for task in table.TASKS] == [80, 6, 12]


@made_for_installed
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_rows_is_what_is_counted_again(name):
    inputs = list(SHARED["inputs"])

    row = table.model_row(name, SHIPPED[name]["task"], inputs)

    assert json.loads(json.dumps(row)) == SHIPPED[name]
    assert inputs == SHARED["inputs"]


@made_for_installed
def test_all_weights_are_as_published():
    published = {
        name: [table.published_facts(weights) for weights in get_model_weights(name)]
        for name in SHIPPED
    }

    shipped = {
        name: [{key: row[key] for key in row if key != "input"} for row in facts["weights"]]
        for name, facts in SHIPPED.items()
    }
    assert shipped == published


@made_for_installed
def test_the_files_of_class_names_are_as_published():
    files = table.class_files()

    shipped = {file: TABLE.with_name(file).read_text().splitlines() for file in files}
    assert shipped == files
    assert {file: len(names) for file, names in files.items()} == {
        "imagenet1k.txt": 1000,
        "voc21.txt": 21,
        "coco90.txt": 90,
        "person.txt": 1,
    }


def test_writing_the_table_again_gives_the_same_bytes():
    assert table.dump(SHARED, SHIPPED) == TABLE.read_text()


def test_a_card_has_the_facts_of_its_row():
    card = zoo_models().card("efficientnet_b0")

    assert card.num_params == 5_288_548
    assert card.input.interpolation == "bicubic"
    assert card.weights[0].url.endswith("/efficientnet_b0_rwightman-7f5810bc.pth")
    assert card.weights[0].sha256 == "7f5810bc"
    assert card.weights[0].metrics == {"top1": 0.77692, "top5": 0.93532}


def test_weights_without_a_classifier_name_no_classes_and_no_scores():
    features = zoo_models().card("vgg16").weights[1]

    assert (features.name, features.classes, features.metrics) == ("imagenet1k_features", "", {})


def test_a_license_is_stated_only_where_torchvision_states_it():
    licensed = [
        (card.name, weights.name)
        for card in zoo_models()
        for weights in card.weights
        if weights.license
    ]

    assert len(licensed) == 12
    assert all("swag" in name for _, name in licensed)
