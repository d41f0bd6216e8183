"""Each recipe against its source, and against the models that it is for."""

from typing import Any

import pytest

from zoo.config import Layer
from zoo.registry import default_registry
from zoo.workflows._plan import RunPlan, plan_run
from zoo_unet import recipes
from zoo_unet.plugin import zoo_recipes

REGISTRY = default_registry()


def plan(model: str, **values: Any) -> RunPlan:
    return plan_run([Layer("test", {"model": {"name": model}, **values})], REGISTRY)


def flat(name: str) -> dict[str, Any]:
    """The recipe by dotted key."""
    recipe = getattr(recipes, name.replace("-", "_"))()
    return {f"{section}.{key}": v for section, keys in recipe.items() for key, v in keys.items()}


# Sections 2 to 4: 572 px in and 388 px out, batch 1, momentum 0.99, w0 10, sigma 5 px, 10 px on 3
# by 3 points, rotation, grey values, dropout.
RONNEBERGER2015 = {
    "model.dropout": 0.5,
    "task.loss": "border",
    "task.border_weight": 10.0,
    "task.border_sigma_px": 5.0,
    "data.image_size": 388,
    "transforms.crop": "random",
    "transforms.context_px": 92,
    "transforms.elastic_px": 10.0,
    "transforms.elastic_grid": 3,
    "transforms.rotate_deg": 180.0,
    "transforms.flip": 0.0,
    "transforms.jitter": 0.1,
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.99,
    "optimizer.learning_rate": 1e-3,
    "optimizer.weight_decay": 0.0,
    "schedule.name": "constant",
    "training.batch_size": 1,
    "training.epochs": 300,
}

# RMSprop 1e-5, momentum 0.999, decay 1e-8, clipped at 1, plateau on Dice with patience 5, batch 1,
# 5 epochs, a tenth held out, whole images.
MILESIAL = {
    "task.loss": "cross_entropy+dice",
    "data.val_fraction": 0.1,
    "transforms.crop": "none",
    "transforms.flip": 0.0,
    "optimizer.name": "rmsprop",
    "optimizer.learning_rate": 1e-5,
    "optimizer.momentum": 0.999,
    "optimizer.weight_decay": 1e-8,
    "optimizer.undecayed": "nothing",
    "schedule.name": "plateau",
    "schedule.factor": 0.1,
    "schedule.patience": 5,
    "training.batch_size": 1,
    "training.epochs": 5,
    "training.clip_norm": 1.0,
    "training.monitor": "val/mdice_foreground",
}


@pytest.mark.parametrize(
    ("name", "ingredients"), [("ronneberger2015", RONNEBERGER2015), ("milesial", MILESIAL)]
)
def test_a_recipe_has_the_ingredients_of_its_source_and_no_others(
    name: str, ingredients: dict[str, Any]
) -> None:
    assert flat(name) == ingredients


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("unet", "unet"),
        ("unet_small", "unet"),
        ("unet_paper", "paper-tiles"),
        ("unet_resnet50", "unet"),
        ("unet_resnet18", "unet-pretrained"),
        ("unet_small", "membranes"),
        ("unet_paper", "ronneberger2015"),
        ("unet", "milesial"),
    ],
)
def test_a_recipe_plans_a_run_of_the_models_that_it_is_for(model: str, recipe: str) -> None:
    origins = plan(model, recipe=recipe).resolved.origins

    assert origins["optimizer.learning_rate"] == f"recipe unet:{recipe}"


@pytest.mark.parametrize("card", zoo_recipes(), ids=lambda card: card.name)
def test_a_recipe_says_its_command_hardware_and_source(card) -> None:
    docstring = REGISTRY.load(REGISTRY.get("recipe", f"unet:{card.name}")).__doc__

    assert f"--recipe {card.name}" in docstring or card.name == "unet"
    assert "Command: ``zoo train unet" in docstring
    assert "Hardware: " in docstring
    assert ("Source: " in docstring) == bool(card.source)
    assert ("Differs from the source: " in docstring) == bool(card.source)


def test_the_papers_network_is_trained_on_tiles_with_their_context() -> None:
    found = plan("unet_paper", data={"source": "masks:scans"})

    assert found.resolved.origins["transforms.context_px"] == "recipe unet:paper-tiles"
    assert found.input.size_px + 2 * found.transforms["context_px"] == 572


def test_without_a_recipe_the_embedded_scenes_are_learned_in_six_epochs() -> None:
    found = plan("unet_small")

    assert (found.source, found.config.recipe) == ("core:digit-scenes", "unet:unet")
    assert (found.config.training.epochs, found.config.training.batch_size) == (6, 16)
    assert (found.input.size_px, found.transforms["crop"]) == (64, "none")
