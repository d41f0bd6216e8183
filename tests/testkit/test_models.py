"""Each test of the contract of models catches the model that breaks it, and no other does."""

from collections.abc import Callable
from typing import Any

import pytest

from zoo.cards import InputSpec, RecipeCard, WeightsCard
from zoo_testkit import CardContract, ModelContract

OFFENDERS = [
    ("undocumented", "names_and_docstrings_are_there"),
    ("untyped_option", "names_and_docstrings_are_there"),
    ("takes_any_option", "a_misspelt_option_is_refused"),
    ("ignores_classes", "num_classes_are_obeyed"),
    ("ignores_channels", "in_channels_are_obeyed"),
    ("one_size", "any_image_size_is_taken"),
    ("squeezes", "an_image_alone_gets_the_answer_that_it_gets_in_a_batch"),
    ("compares_images", "an_image_alone_gets_the_answer_that_it_gets_in_a_batch"),
    ("wrong_head", "head_parts_are_what_depends_on_the_classes"),
    ("wrong_stage", "stage_maps_are_as_stated"),
    ("unused_layer", "loss_is_finite_and_its_gradient_reaches_every_tensor"),
    ("doubles_in_training", "training_mode_differs_only_as_it_may"),
    ("moves_though_frozen", "frozen_parts_do_not_move"),
    ("unlearns", "training_lowers_the_loss"),
    ("remembers_outside_its_state", "a_resumed_run_is_exact"),
    ("draws_in_evaluation", "evaluation_is_deterministic"),
    ("changes_in_evaluation", "evaluation_changes_no_state"),
    ("unseeded", "two_builds_with_one_seed_are_equal"),
    ("hides_weights", "saved_weights_load_and_are_equal"),
    ("views_memory", "channels_last_agrees"),
    ("cancels_digits", "bf16_autocast_agrees"),
    ("differs_compiled", "compiled_agrees"),
    ("branches_on_values", "exported_agrees"),
]


def weights(**changes: Any) -> WeightsCard:
    facts = {
        "name": "published",
        "url": "https://example.org/planted.pth",
        "sha256": "0123456789abcdef",
        "preprocess": InputSpec(size_px=32),
        "classes": "planted_data:digits.txt",
        "metrics": {"top1": 0.5},
        "license": "CC0-1.0",
        "provenance": "nobody",
    }
    return WeightsCard(**{**facts, **changes})


GREY = InputSpec(channels=1, mean=(0.5,), std=(0.5,))


def test_an_honest_model_keeps_the_whole_contract(model_card: Callable, failures: Callable) -> None:
    assert failures(ModelContract, model_card("honest")) == {}


@pytest.mark.parametrize("factory", ["stochastic_depth", "grey_or_rgb"])
def test_what_a_model_may_do_is_no_fault(
    factory: str, model_card: Callable, failures: Callable
) -> None:
    assert failures(ModelContract, model_card(factory)) == {}


def test_a_model_for_larger_images_than_the_data_have_gets_larger_ones(
    model_card: Callable, failures: Callable
) -> None:
    spec = InputSpec(size_px=48, resize_px=None)

    assert failures(ModelContract, model_card("needs_large_images", input=spec)) == {}


def test_a_model_is_run_as_its_cards_recipe_makes_it(
    model_card: Callable, failures: Callable
) -> None:
    recipe = RecipeCard(
        name="quick", task="classification", summary="planted", factory="planted_recipes:quick"
    )
    card = model_card("quick_by_its_recipe", recipe="quick")

    assert failures(CardContract, card, recipe) == {}
    assert set(failures(CardContract, model_card("quick_by_its_recipe"))) == {"it_answers_a_batch"}


def test_what_differs_in_training_can_be_named(model_card: Callable, failures: Callable) -> None:
    card = model_card("doubles_in_training")

    assert failures(ModelContract, card, differs_in_training=("Doubling",)) == {}


def test_a_model_whose_task_nobody_has_is_counted(model_card: Callable, failures: Callable) -> None:
    card = model_card("honest", task="sorting", num_params=1)

    assert set(failures(ModelContract, card)) == {"card_states_what_is_counted"}


@pytest.mark.parametrize(("factory", "test"), OFFENDERS)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, model_card: Callable, failures: Callable
) -> None:
    assert set(failures(ModelContract, model_card(factory))) == {test}


@pytest.mark.parametrize(
    ("changes", "test"),
    [
        ({"num_params": 1}, "card_states_what_is_counted"),
        ({"gmacs": 0.000_001}, "card_states_what_is_counted"),
        ({"summary": "two\nlines"}, "summary_is_one_line"),
        ({"summary": ""}, "summary_is_one_line"),
        ({"recipe": "nobodys"}, "recipe_resolves"),
    ],
)
def test_a_card_that_is_wrong_is_caught_by_the_test_that_is_meant_for_it(
    changes: dict, test: str, model_card: Callable, failures: Callable
) -> None:
    assert set(failures(ModelContract, model_card("honest", **changes))) == {test}


def test_a_model_that_answers_with_nan_is_caught(model_card: Callable, failures: Callable) -> None:
    assert set(failures(CardContract, model_card("not_finite"))) == {"it_answers_a_batch"}


def test_a_plugin_whose_listing_loads_numpy_is_caught(
    model_card: Callable, failures: Callable
) -> None:
    failed = failures(ModelContract, model_card("honest"), target="planted_heavy_plugin")

    assert set(failed) == {"listing_it_loads_no_torch"}
    assert "planted_heavy_plugin imports numpy" in failed["listing_it_loads_no_torch"]


def test_honest_weights_are_well_formed(model_card: Callable, failures: Callable) -> None:
    assert failures(CardContract, model_card("honest", weights=(weights(),))) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://example.org/planted.pth"},
        {"classes": "planted_data:absent.txt"},
        {"classes": "planted_data:three.txt"},
        {"preprocess": GREY},
        {"metrics": {"top1": 76.1}},
        {"provenance": ""},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
def test_weights_that_are_not_well_formed_are_caught(
    changes: dict, model_card: Callable, failures: Callable
) -> None:
    card = model_card("honest", weights=(weights(**changes),))

    assert set(failures(CardContract, card)) == {"published_weights_are_well_formed"}
