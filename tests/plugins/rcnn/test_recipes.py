"""Each recipe against its source, and against the models that it is for."""

from typing import Any

import pytest

from zoo.config import Layer
from zoo.registry import default_registry
from zoo.workflows._plan import RunPlan, plan_run
from zoo_rcnn import recipes
from zoo_rcnn.plugin import zoo_recipes

REGISTRY = default_registry()


def plan(model: str, **values: Any) -> RunPlan:
    return plan_run([Layer("test", {"model": {"name": model}, **values})], REGISTRY)


def flat(name: str) -> dict[str, Any]:
    """The recipe by dotted key."""
    recipe = getattr(recipes, name.replace("-", "_"))()
    return {f"{section}.{key}": v for section, keys in recipe.items() for key, v in keys.items()}


# Sections 2.3 and 3: some 2,000 proposals, 2 images of 600 px, 30,000 steps at 0.001 and 10,000 at
# 0.0001, momentum 0.9, decay 0.0005, flips; 64 regions of an image, a quarter of them objects, are
# the model's defaults.
GIRSHICK2015 = {
    "data.proposals": "selective-search",
    "data.proposals_limit": 2000,
    "model.norm": "frozen",
    "model.backbone_weights": "imagenet1k_v1",
    "transforms.resize": "short-side",
    "transforms.short_side_px": 600,
    "transforms.long_side_px": 1000,
    "transforms.flip": 0.5,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e-3,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 5e-4,
    "schedule.name": "step",
    "schedule.milestones": [12],
    "training.batch_size": 2,
    "training.epochs": 16,
}

# train.py, engine.py and models/detection/faster_rcnn.py: 8 x 2 images of 800 px, SGD 0.02,
# momentum 0.9, decay 1e-4 of everything, 26 epochs with a tenth after 16 and 22, 1,000 steps of
# warm-up from a thousandth, flips, frozen batch norms, three stages that learn.
TORCHVISION_COCO = {
    "model.norm": "frozen",
    "model.backbone_weights": "imagenet1k_v1",
    "model.freeze": ["backbone.body.conv1", "backbone.body.layer1"],
    "transforms.resize": "short-side",
    "transforms.short_side_px": 800,
    "transforms.long_side_px": 1333,
    "transforms.flip": 0.5,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.02,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 1e-4,
    "optimizer.undecayed": "nothing",
    "schedule.name": "step",
    "schedule.milestones": [16, 22],
    "schedule.warmup_epochs": pytest.approx(1000 / 7330),
    "schedule.warmup_from": 1e-3,
    "training.batch_size": 16,
    "training.epochs": 26,
}


@pytest.mark.parametrize(
    ("name", "ingredients"),
    [("girshick2015", GIRSHICK2015), ("torchvision-coco", TORCHVISION_COCO)],
)
def test_a_recipe_has_the_ingredients_of_its_source_and_no_others(
    name: str, ingredients: dict[str, Any]
) -> None:
    assert flat(name) == ingredients


@pytest.mark.parametrize("depth", ["18", "34", "50", "101"])
@pytest.mark.parametrize(
    ("family", "recipe"),
    [
        ("rcnn_resnet{}", "rcnn-small"),
        ("spp_net_resnet{}", "single-map-small"),
        ("fast_rcnn_resnet{}", "single-map-small"),
        ("faster_rcnn_resnet{}", "faster-rcnn-small"),
        ("faster_rcnn_resnet{}_fpn", "fpn-small"),
    ],
)
def test_without_an_option_the_embedded_scenes_are_learned_as_they_are(
    family: str, recipe: str, depth: str
) -> None:
    found = plan(family.format(depth))

    assert (found.source, found.config.recipe) == ("core:digit-boxes", f"rcnn:{recipe}")
    assert (found.input.size_px, found.transforms["flip"]) == (96, 0.0)
    assert (found.config.training.epochs, found.config.training.batch_size) == (4, 8)


@pytest.mark.parametrize(
    ("model", "recipe"),
    [("fast_rcnn_resnet50", "girshick2015"), ("faster_rcnn_resnet50_fpn", "torchvision-coco")],
)
def test_a_sources_recipe_plans_a_run_of_its_model(model: str, recipe: str) -> None:
    origins = plan(model, recipe=recipe).resolved.origins

    assert origins["optimizer.learning_rate"] == f"recipe rcnn:{recipe}"


@pytest.mark.parametrize("card", zoo_recipes(), ids=lambda card: card.name)
def test_a_recipe_says_its_command_hardware_and_source(card) -> None:
    docstring = REGISTRY.load(REGISTRY.get("recipe", f"rcnn:{card.name}")).__doc__

    assert "Command: ``zoo train " in docstring
    assert "Hardware: " in docstring
    assert ("Source: " in docstring) == bool(card.source)
    assert ("Differs from the source: " in docstring) == bool(card.source)
