"""Each recipe against its source, and against the config and factories it is written for."""

import math
from typing import Any

import pytest

from zoo.config import Layer
from zoo.registry import default_registry
from zoo.workflows._plan import RunPlan, plan_run
from zoo_resnet import recipes
from zoo_resnet.plugin import zoo_recipes

REGISTRY = default_registry()
NAMES = [card.name for card in zoo_recipes()]


def plan(recipe: str, model: str = "resnet50", source: str = "imagenet") -> RunPlan:
    values = {"model": {"name": model}, "recipe": recipe, "data": {"source": source}}
    return plan_run([Layer("test", values)], REGISTRY)


def flat(name: str) -> dict[str, Any]:
    """The recipe by dotted key."""
    recipe = getattr(recipes, name.replace("-", "_"))()
    return {f"{section}.{key}": v for section, keys in recipe.items() for key, v in keys.items()}


# The ingredients that each source names, and no others: what is not in a table is a default of
# the config, which the sources share (no clipping, no EMA, flips half of the time ...).

INCEPTION = {
    "transforms.crop": "photo",
    "transforms.scale": [0.08, 1.0],
    "transforms.ratio": [3 / 4, 4 / 3],
    "transforms.flip": 0.5,
}
SGD = {"optimizer.name": "sgd", "optimizer.momentum": 0.9}

# He 2015, section 3.4: shorter side of 256 to 480 px, 224 px crop, flip, colours of Krizhevsky 2012
# (standard deviation 0.1), batch 256, 0.1 / 10 where the error stalls, 60e4 steps, decay 1e-4.
HE2015_IMAGENET = {
    "data.image_size": 224,
    "transforms.crop": "short-side",
    "transforms.short_side_px": [256, 480],
    "transforms.lighting": 0.1,
    "transforms.flip": 0.5,
    **SGD,
    "optimizer.learning_rate": 0.1,
    "optimizer.weight_decay": 1e-4,
    "optimizer.undecayed": "nothing",
    "schedule.name": "plateau",
    "schedule.factor": 0.1,
    "schedule.patience": 5,
    "training.batch_size": 256,
    "training.max_steps": 600_000,
    "training.epochs": math.floor(600_000 * 256 / 1_281_167) + 1,
}

# He 2015, section 4.2: decay 1e-4, momentum 0.9, batch 128, 0.1, / 10 at 32k and 48k of 64k steps,
# 4 px of padding on each side and a 32 px crop, flip.
HE2015_CIFAR = {
    "data.image_size": 32,
    "transforms.crop": "none",
    "transforms.shift": 0.125,
    "transforms.flip": 0.5,
    **SGD,
    "optimizer.learning_rate": 0.1,
    "optimizer.weight_decay": 1e-4,
    "optimizer.undecayed": "nothing",
    "schedule.name": "step",
    "schedule.unit": "steps",
    "schedule.milestones": [32_000, 48_000],
    "schedule.gamma": 0.1,
    "training.batch_size": 128,
    "training.max_steps": 64_000,
    "training.epochs": math.ceil(64_000 / math.ceil(50_000 / 128)),
}

# Goyal 2017: k n = 8k with n = 32 images a worker, 0.1 k n / 256, 5 epochs of warm-up from 0.1,
# / 10 at 30, 60 and 80 of 90 epochs, Nesterov 0.9, decay 1e-4 not on batch norms, last gamma 0,
# linear layer N(0, 0.01), scale and aspect ratio augmentation.
GOYAL2017 = {
    "model.zero_init_residual": True,
    "model.fc_std": 0.01,
    "data.image_size": 224,
    **INCEPTION,
    **SGD,
    "optimizer.nesterov": True,
    "optimizer.learning_rate": 0.1,
    "optimizer.scale_to_batch": 256,
    "optimizer.weight_decay": 1e-4,
    "optimizer.undecayed": "norms",
    "schedule.name": "step",
    "schedule.milestones": [30, 60, 80],
    "schedule.gamma": 0.1,
    "schedule.warmup_epochs": 5.0,
    "schedule.warmup_from": 1 / 32,
    "training.batch_size": 8192,
    "training.micro_batch_size": 32,
    "training.epochs": 90,
}

# torchvision V1: 8 x 32 images, 90 epochs, SGD 0.1 / 0.9, decay 1e-4, / 10 every 30 epochs.
TORCHVISION_V1 = {
    "data.image_size": 224,
    **INCEPTION,
    "transforms.resize_px": 256,
    "transforms.interpolation": "bilinear",
    **SGD,
    "optimizer.learning_rate": 0.1,
    "optimizer.weight_decay": 1e-4,
    "optimizer.undecayed": "nothing",
    "schedule.name": "step",
    "schedule.each": "epoch",
    "schedule.milestones": [30, 60],
    "schedule.gamma": 0.1,
    "training.batch_size": 8 * 32,
    "training.epochs": 90,
}

# torchvision V2: 8 x 128, 600 epochs, 0.5 cosine, warm-up 5 from 0.01, TrivialAugment, erase 0.1,
# decay 2e-5 without norms, smoothing 0.1, mixup 0.2, cutmix 1, train 176, resize 232, repeated
# augmentation 4, EMA 0.99998 every 32 steps, adjusted as its script does.
TORCHVISION_V2 = {
    "task.label_smoothing": 0.1,
    "data.image_size": 224,
    "data.repeats": 4,
    **INCEPTION,
    "transforms.train_size_px": 176,
    "transforms.resize_px": 232,
    "transforms.interpolation": "bilinear",
    "transforms.auto_augment": "trivial",
    "transforms.erase": 0.1,
    "transforms.mixup": 0.2,
    "transforms.cutmix": 1.0,
    **SGD,
    "optimizer.learning_rate": 0.5,
    "optimizer.weight_decay": 2e-5,
    "optimizer.undecayed": "norms",
    "schedule.name": "cosine",
    "schedule.each": "epoch",
    "schedule.from_epoch": 5.0,
    "schedule.warmup_epochs": 5.0,
    "schedule.warmup_from": 0.01,
    "training.batch_size": 8 * 128,
    "training.epochs": 600,
    "training.ema": {
        "decay": pytest.approx(0.99890773, abs=1e-8),
        "every_steps": 32,
        "warmup_steps": 5 * math.ceil(1_281_167 / 1024),
    },
}


def strikes_back(**changes: Any) -> dict[str, Any]:
    """Table 2 of arXiv:2110.00476; thresholds, ends and starts of rates from timm's script."""
    return {
        "model.zero_init_residual": True,
        "model.drop_path": 0.05,
        "task.loss": "binary_cross_entropy",
        "task.label_smoothing": 0.0,
        "task.target_threshold": 0.2,
        "data.image_size": 224,
        "data.repeats": 3,
        **INCEPTION,
        "transforms.resize_px": int(224 / 0.95),
        "transforms.interpolation": "random",
        "transforms.eval_interpolation": "bicubic",
        "transforms.auto_augment": "rand-m7-mstd0.5-inc1",
        "transforms.mixup": 0.1,
        "transforms.cutmix": 1.0,
        "optimizer.name": "lamb",
        "optimizer.learning_rate": 5e-3,
        "optimizer.weight_decay": 0.02,
        "optimizer.undecayed": "norms_and_biases",
        "schedule.name": "cosine",
        "schedule.each": "epoch",
        "schedule.final": pytest.approx(1e-6 / 5e-3),
        "schedule.warmup_epochs": 5.0,
        "schedule.warmup_from": pytest.approx(1e-4 / 5e-3),
        "training.batch_size": 2048,
        "training.epochs": 300,
        **changes,
    }


RSB_A1 = strikes_back(
    **{
        "task.label_smoothing": 0.1,
        "transforms.mixup": 0.2,
        "optimizer.weight_decay": 0.01,
        "training.epochs": 600,
    }
)
RSB_A3 = strikes_back(
    **{
        "model.drop_path": 0.0,
        "data.repeats": 1,
        "transforms.train_size_px": 160,
        "transforms.auto_augment": "rand-m6-mstd0.5-inc1",
        "optimizer.learning_rate": 8e-3,
        "schedule.final": pytest.approx(1e-6 / 8e-3),
        "schedule.warmup_from": pytest.approx(1e-4 / 8e-3),
        "training.epochs": 100,
    }
)

# bentrevett, ResNet tutorial: Adam 1e-3, one cycle of torch's defaults, 10 epochs of batch 64.
FINE_TUNE = {
    "model.weights": "imagenet1k_v1",
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
    "optimizer.weight_decay": 0.0,
    "optimizer.layer_rates": {
        "conv1": 1 / 10,
        "bn1": 1 / 10,
        "layer1": 1 / 8,
        "layer2": 1 / 6,
        "layer3": 1 / 4,
        "layer4": 1 / 2,
        "fc": 1.0,
    },
    "schedule.name": "one_cycle",
    "schedule.peak_at": 0.3,
    "schedule.start": 1 / 25,
    "schedule.final": pytest.approx(1 / 25 / 1e4),
    "training.batch_size": 64,
    "training.epochs": 10,
}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("he2015-imagenet", HE2015_IMAGENET),
        ("he2015-cifar", HE2015_CIFAR),
        ("goyal2017", GOYAL2017),
        ("torchvision-v1", TORCHVISION_V1),
        ("torchvision-v2", TORCHVISION_V2),
        ("rsb-a1", RSB_A1),
        ("rsb-a2", strikes_back()),
        ("rsb-a3", RSB_A3),
        ("fine-tune", FINE_TUNE),
    ],
)
def test_a_recipe_has_every_ingredient_of_its_source(name: str, table: dict[str, Any]) -> None:
    assert flat(name) == table


def test_a_plan_has_the_types_that_the_factories_ask_for() -> None:
    planned = plan("rsb-a3")

    assert planned.transforms["scale"] == (0.08, 1.0)
    assert planned.model_options == {"zero_init_residual": True, "drop_path": 0.0}
    assert planned.task_options["loss"] == "binary_cross_entropy"


@pytest.mark.parametrize("model", ["resnet20", "resnet34", "wide_resnet50_2"])
def test_the_default_recipe_is_small(model: str) -> None:
    planned = plan_run([Layer("test", {"model": {"name": model}})], REGISTRY)

    assert planned.model_options == {"zero_init_residual": True}
    assert planned.task_options == {"label_smoothing": 0.1}
    assert planned.config.optimizer.options == {"momentum": 0.9, "nesterov": True}
    assert planned.config.optimizer.weight_decay == 5e-4
    assert planned.config.optimizer.undecayed == "norms_and_biases"
    assert planned.config.training.batch_size == 32


def test_small_photos_is_small_with_what_keeps_it_from_learning_by_heart() -> None:
    assert flat("small-photos") == {
        **flat("small"),
        "data.image_size": 64,
        "transforms.auto_augment": "trivial",
        "transforms.scale": [0.35, 1.0],
        "optimizer.weight_decay": 5e-3,
        "training.epochs": 130,
        "training.ema": {"decay": 0.92, "every_steps": 4},
    }


def test_fine_tuning_rates_name_parts_of_the_network() -> None:
    from zoo.models import build_model

    parts = {name.partition(".")[0] for name, _ in build_model("resnet18").named_parameters()}

    assert set(flat("fine-tune")["optimizer.layer_rates"]) == parts


@pytest.mark.parametrize("card", zoo_recipes(), ids=lambda card: card.name)
def test_a_recipe_says_its_command_hardware_and_source(card) -> None:
    docstring = REGISTRY.load(REGISTRY.get("recipe", f"resnet:{card.name}")).__doc__

    assert f"--recipe {card.name}" in docstring or card.name == "small"
    assert "Command: ``zoo train resnet" in docstring
    assert "Hardware: " in docstring
    assert ("Source: " in docstring) == bool(card.source)
    assert "Result: " in docstring or not card.source
