"""Which recipe, data and settings a run takes that names none, for any task."""

from typing import Any

import pytest

from zoo.cards import DatasetCard, InputSpec, ModelCard, RecipeCard, TaskCard, WeightsCard
from zoo.config import Layer
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry
from zoo.workflows import plan_training
from zoo.workflows._plan import RunPlan


def recipe(name: str, task: str, rate: float) -> RecipeCard:
    return RecipeCard(
        name=name, summary="", task=task, factory="builtins:dict",
        options={"optimizer": {"learning_rate": rate}},
    )  # fmt: skip


def model(name: str, task: str, *, factory: str = "torch.nn:Flatten", **facts: Any) -> ModelCard:
    return ModelCard(
        name=name, summary="", task=task, factory=factory, num_params=0, gmacs=0, **facts
    )


SEEN = WeightsCard(
    name="seen", url="https://example.org/seen.pth", preprocess=InputSpec(), classes="",
    options={"start_dim": 2},
)  # fmt: skip
OURS = {
    "task": [
        TaskCard(
            name="gaze", summary="", factory="zoo.tasks:ClassificationTask",
            default_dataset="digits", recipe="stare",
        )
    ],
    "dataset": [
        DatasetCard(name="digits", summary="", task="gaze", factory="zoo.data.builtin:digits")
    ],
    "recipe": [recipe("stare", "gaze", 0.5), recipe("glance", "gaze", 0.25)],
    "model": [
        model("eye", "gaze"),
        model("quick-eye", "gaze", recipe="glance"),
        model("label-net", "classification", recipe="default"),
        model("seer", "classification", weights=(SEEN,)),
        model(
            "strict", "classification", factory="torch.nn:Conv2d",
            options={"out_channels": 1, "kernel_size": 1},
        ),
    ],
}  # fmt: skip


@pytest.fixture
def registry() -> Registry:
    """Core, and a plugin with a task whose data are called like core's."""
    gaze = Plugin(name="gaze", distribution="zoo-gaze", version="1", target="gaze", cards=OURS)
    return Registry([*load_plugins(found=[]), gaze])


@pytest.fixture
def plan(registry: Registry) -> Any:
    def plan(name: str, **config: Any) -> RunPlan:
        return plan_training(
            [Layer("test", {"model": {"name": name}, **config})], registry=registry
        )

    return plan


@pytest.mark.parametrize(
    ("name", "expected"), [("eye", "gaze:stare"), ("quick-eye", "gaze:glance")]
)
def test_a_model_is_trained_by_its_own_recipe_else_by_the_tasks(plan, name, expected) -> None:
    assert plan(name).config.recipe == expected


def test_a_model_on_another_task_is_trained_by_that_tasks_recipe(plan) -> None:
    assert plan("label-net").config.recipe == "core:default"
    assert plan("label-net", task={"name": "gaze"}).config.recipe == "gaze:stare"


def test_a_builder_needs_no_default_for_what_zoo_fills_in(plan) -> None:
    assert plan("strict").in_channels == 3
    assert plan("strict", model={"name": "strict", "in_channels": 1}).in_channels == 1


def test_a_recipe_that_the_user_names_is_taken_whatever_its_task(plan) -> None:
    assert plan("label-net", recipe="gaze:glance").config.optimizer.learning_rate == 0.25


def test_the_default_data_of_a_task_are_those_of_its_own_plugin(plan) -> None:
    assert plan("eye").source == "gaze:digits"
    assert plan("label-net").source == "core:digits"


def test_what_data_ask_of_their_own_task_is_not_asked_of_another(plan) -> None:
    own, other = (plan(name, data={"source": "core:digits"}) for name in ("label-net", "eye"))

    assert own.config.transforms.options["flip"] == 0.0
    assert other.config.transforms.options == {}
    assert (own.config.data.image_size, other.config.data.image_size) == (32, 32)


@pytest.mark.parametrize(
    ("words", "expected"),
    [({}, {}), ({"weights": "seen"}, {"start_dim": 2}), ({"start_dim": 1}, {"start_dim": 1}),
     ({"weights": "seen", "start_dim": 1}, {"start_dim": 1})],
)  # fmt: skip
def test_published_weights_bring_the_options_of_their_model_unless_the_user_has_others(
    plan, words, expected
) -> None:
    planned = plan("seer", model={"name": "seer", **words})

    assert planned.model_options == expected
    assert planned.config.model.options == expected
