"""The model of a plan, ready to learn: weights loaded, parts frozen, on its device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from zoo.checkpoint import load_weights
from zoo.models import build_model, freeze_parts
from zoo.registry import Registry
from zoo.training import seed_everything
from zoo.workflows._plan import RunPlan, read_named_weights


def build_planned_model(
    plan: RunPlan,
    *,
    num_classes: int,
    device: torch.device,
    registry: Registry,
    message: Callable[[str], None],
    restored: bool = False,
) -> nn.Module:
    """Build the plan's model as a run trains it; its fresh weights come from the plan's seed.

    Args:
        num_classes: classes as users name them.
        message: hears which weights were loaded and which are new.
        restored: a checkpoint will give the weights; those that it began with are not read.

    Raises:
        UsageError: the model cannot be built, or the weights do not fit it.
    """
    config = plan.config
    seed_everything(config.training.seed)
    model = build_model(
        plan.model.full_name, num_classes=num_classes, registry=registry, **plan.model_options
    )
    if not restored:
        _load_named_weights(model, plan, message)
    freeze_parts(model, config.model.freeze)
    memory_format = torch.channels_last if config.machine.channels_last else torch.contiguous_format
    model.to(device, memory_format=memory_format)  # type: ignore[call-overload]
    if config.machine.compile:
        model.compile()
    return model


def _load_named_weights(model: nn.Module, plan: RunPlan, message: Callable[[str], None]) -> None:
    """The weights that the config names, into the whole model or into its backbone alone."""
    asked = plan.config.model
    if asked.weights:
        tensors = read_named_weights(plan.model_card, asked.weights, message=message)
        message(str(load_weights(model, tensors)))
    if asked.backbone_weights and plan.backbone_card:
        tensors = read_named_weights(plan.backbone_card, asked.backbone_weights, message=message)
        part = plan.model_card.backbone_part or plan.model_card.backbone_option
        message(f"{part}: {load_weights(model.get_submodule(part), tensors)}")
