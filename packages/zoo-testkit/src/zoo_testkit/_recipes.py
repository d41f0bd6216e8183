"""What every recipe promises."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, cast

from zoo.cards import RecipeCard
from zoo.config import Layer
from zoo.errors import UsageError
from zoo.workflows import plan_training
from zoo_testkit._contract import Case, Contract, does_not_apply
from zoo_testkit._material import models_of

MOST_MODELS = 30
"""That are tried with a recipe."""


class RecipeCase(Case):
    """A recipe under test."""

    @property
    def card(self) -> RecipeCard:
        """Its card."""
        return cast("RecipeCard", self.entry.card)

    @property
    def function(self) -> Callable[..., Any]:
        """What the card's factory names."""
        return self.registry.load(self.entry)

    def models(self) -> list[str]:
        """Whom it may be for, small ones first: the models of its own plugin, if it has some."""
        named: str | None = cast("type[RecipeContract]", self.contract).model
        if named is not None:
            return [named]
        of_task = models_of(self.registry, self.card.task)
        own = [entry for entry in of_task if entry.plugin == self.entry.plugin] or of_task
        return [entry.full_name for entry in own[:MOST_MODELS]]


class RecipeContract(Contract[RecipeCase]):
    """A function that gives a part of a run's config, and says where it has it from.

    Attributes:
        recipe: its name, or a pattern of full names.
        model: that it is for; default: a small one of the same plugin and task.
    """

    kind = "recipe"
    case_class = RecipeCase

    recipe: ClassVar[str]
    model: ClassVar[str | None] = None

    def test_it_plans_a_run(self, case: RecipeCase) -> None:
        """Every key, value and name in it exists, for one of the models that it may be for."""
        models = case.models()
        if not models:
            does_not_apply(f"no model that is installed has the task {case.card.task!r}")
        refusals = [_refusal(case, model) for model in models]

        assert not all(refusals), refusals[0]

    def test_its_docstring_says_command_and_source(self, case: RecipeCase) -> None:
        """A ``zoo train`` command; ``Source:`` where it comes from, if the card names one."""
        docstring = getattr(case.function, "func", case.function).__doc__ or ""

        assert "zoo train" in docstring, "the docstring says no `zoo train` command"
        if case.card.source:
            assert "Source:" in docstring, 'the card names a source; the docstring has no "Source:"'

    def test_it_is_made_anew_each_time(self, case: RecipeCase) -> None:
        """What is done to one result does not show in the next."""
        first = case.function()
        expected = copy.deepcopy(first)

        _empty(first)

        assert case.function() == expected, "a change to one result is in the next"


def _refusal(case: RecipeCase, model: str) -> str:
    """Why a model cannot be trained so; empty where it can."""
    layer = Layer("contract", {"model": {"name": model}, "recipe": case.name})
    try:
        plan_training([layer], registry=case.registry)
    except UsageError as error:
        return f"{model}: {error.cause}"
    return ""


def _empty(value: Any) -> None:
    """Empty a nested structure from the inside."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _empty(inner)
        value.clear()
