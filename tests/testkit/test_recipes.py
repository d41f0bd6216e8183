"""Each test of the contract of recipes catches the one that breaks it, and no other does."""

from collections.abc import Callable

import pytest

from zoo.cards import ModelCard, RecipeCard
from zoo_testkit import RecipeContract


def recipe_card(factory: str) -> RecipeCard:
    return RecipeCard(
        name=factory.replace("_", "-"),
        task="classification",
        summary="planted",
        factory=f"planted_recipes:{factory}",
        source="nobody",
    )


def test_an_honest_recipe_keeps_the_contract(
    failures: Callable, model_card: Callable[..., ModelCard]
) -> None:
    assert failures(RecipeContract, recipe_card("honest"), model_card("honest")) == {}


@pytest.mark.parametrize(
    ("factory", "test"),
    [
        ("unknown_key", "it_plans_a_run"),
        ("commandless", "its_docstring_says_command_and_source"),
        ("sourceless", "its_docstring_says_command_and_source"),
        ("shared", "it_is_made_anew_each_time"),
    ],
)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, failures: Callable, model_card: Callable[..., ModelCard]
) -> None:
    failed = failures(RecipeContract, recipe_card(factory), model_card("honest"))

    assert set(failed) == {test}
