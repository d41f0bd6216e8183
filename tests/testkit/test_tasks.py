"""Each test of the contract of tasks catches the one that breaks it, and no other does."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from zoo.cards import TaskCard
from zoo_testkit import TaskContract

CLASSIFICATION = "zoo.tasks:ClassificationTask"
SETTINGS = {"dataset": "digits"}


def network(*, num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 32 * 32, num_classes))


def task_card(factory: str, **changes: Any) -> TaskCard:
    facts = {
        "name": "classification",
        "summary": "planted",
        "factory": factory,
        "default_dataset": "digits",
    }
    return TaskCard(**{**facts, **changes})


def test_classification_keeps_the_contract(failures: Callable) -> None:
    assert failures(TaskContract, task_card(CLASSIFICATION), model=network) == {}


@pytest.mark.parametrize(
    ("factory", "test"),
    [
        ("OtherName", "names_and_docstrings_are_there"),
        ("Undocumented", "names_and_docstrings_are_there"),
        ("NoHeadline", "headline_is_measured"),
        ("Detached", "training_has_a_finite_loss"),
        ("Averaging", "losses_of_micro_batches_add_up"),
        ("Miscounting", "counts_come_from_the_targets_alone"),
        ("CountingPixels", "counts_come_from_the_targets_alone"),
        ("Dropping", "every_image_gets_a_prediction"),
        ("Unspeakable", "every_image_gets_a_prediction"),
        ("DrawingOver", "drawing_gives_a_picture_and_leaves_the_image_alone"),
        ("SameKeys", "metrics_read_the_predictions_of_a_step"),
        ("Drifting", "options_build_it_again"),
        ("Careless", "transforms_depend_on_the_sample_alone"),
    ],
)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, failures: Callable
) -> None:
    failed = failures(
        TaskContract, task_card(f"planted_tasks:{factory}"), model=network, **SETTINGS
    )

    assert set(failed) == {test}


@pytest.mark.parametrize("dataset", ["mnist", "digit-scenes"])
def test_default_data_that_need_a_download_or_are_for_another_task_are_caught(
    dataset: str, failures: Callable
) -> None:
    card = task_card(CLASSIFICATION, default_dataset=dataset)

    failed = failures(TaskContract, card, model=network, **SETTINGS)

    assert set(failed) == {"default_data_are_there"}
