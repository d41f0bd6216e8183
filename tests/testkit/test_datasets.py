"""Each test of the contract of data sets catches the one that breaks it, and no other does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.cards import DatasetCard
from zoo_testkit import DatasetContract


def dataset_card(factory: str = "honest", **changes: Any) -> DatasetCard:
    facts = {
        "name": factory.replace("_", "-"),
        "summary": "planted",
        "factory": f"planted_datasets:{factory}",
        "task": "classification",
        "classes": 2,
        "source": "nobody",
        "settings": {"data": {"image_size": 8}, "transforms": {"crop": "none"}},
    }
    return DatasetCard(**{**facts, **changes})


def test_an_honest_data_set_keeps_the_contract(failures: Callable) -> None:
    assert failures(DatasetContract, dataset_card()) == {}


@pytest.mark.parametrize(
    ("factory", "test"),
    [
        ("odd_split", "splits_are_there"),
        ("twins", "classes_are_those_of_the_card"),
        ("disagreeing", "classes_are_those_of_the_card"),
        ("leaking", "every_image_is_told_apart"),
        ("flat_image", "images_can_be_decoded"),
        ("wide_image", "images_can_be_decoded"),
        ("unknown_label", "targets_are_in_range"),
        ("noisy", "reading_again_gives_the_same"),
    ],
)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, failures: Callable
) -> None:
    assert set(failures(DatasetContract, dataset_card(factory))) == {test}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of each of two classes."""
    for number in range(6):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(path)
    return tmp_path / "photos"


def test_a_data_set_of_what_people_have_is_tested_on_some(photos: Path, failures: Callable) -> None:
    card = dataset_card("own_folders")

    assert failures(DatasetContract, card, dataset=f"own-folders:{photos}") == {}


def test_what_is_wrong_with_a_data_set_of_what_people_have_is_caught(
    photos: Path, failures: Callable
) -> None:
    card = dataset_card("own_folders", classes=3)

    failed = failures(DatasetContract, card, dataset=f"planted:own-folders:{photos}")

    assert set(failed) == {"classes_are_those_of_the_card"}


@pytest.mark.parametrize(
    ("changes", "test"),
    [
        ({"classes": 3}, "classes_are_those_of_the_card"),
        ({"source": ""}, "card_says_what_people_read"),
        ({"settings": {"transforms": {"cropp": "none"}}}, "its_task_makes_batches_of_it"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_a_card_that_is_wrong_is_caught_by_the_test_that_is_meant_for_it(
    changes: dict, test: str, failures: Callable
) -> None:
    assert set(failures(DatasetContract, dataset_card(**changes))) == {test}


def test_a_data_set_that_is_not_on_this_machine_fails_nothing(failures: Callable) -> None:
    assert failures(DatasetContract, dataset_card("absent")) == {}
