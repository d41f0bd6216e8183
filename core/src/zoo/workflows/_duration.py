"""What is said before a long run on embedded data, which a newcomer starts to try zoo out."""

from __future__ import annotations

from time import perf_counter
from typing import cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.cards import ModelCard
from zoo.devices import autocast
from zoo.registry import Registry
from zoo.reporting import format_duration
from zoo.structures import Batch
from zoo.tasks import Task
from zoo.workflows._plan import RunPlan

LONG_S = 300.0
"""Runs that are expected to take less start without a word."""
_PASSES = 3
"""A training step costs as much as so many forward passes: the backward pass is about two."""


def time_image(plan: RunPlan, task: Task, model: nn.Module, batch: Batch) -> float:
    """Seconds that an image takes forward, on a CPU and by a model that has run before.

    As in training, since a detector then looks at few of the regions that an evaluation looks at.
    No statistic and no random state changes.
    """
    machine, learns = plan.config.machine, model.training
    model.train()
    for norm in [module for module in model.modules() if isinstance(module, _BatchNorm)]:
        norm.eval()
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.enable_grad(),
            autocast(batch.images.device, machine.precision),
        ):
            started = perf_counter()
            task.step(model, batch)
            return (perf_counter() - started) / len(batch)
    finally:
        model.train(learns)


def long_run_line(plan: RunPlan, *, image_s: float, images: int, registry: Registry) -> str | None:
    """How long a run will take, and the smallest model of its family; None for a short one.

    Args:
        plan: of the run.
        image_s: from ``time_image``.
        images: of an epoch.
        registry: where the family is.
    """
    training, card = plan.config.training, plan.model_card
    seen = images * training.epochs
    if training.max_steps is not None:
        seen = min(seen, training.max_steps * training.batch_size)
    expected_s = min(_PASSES * image_s * seen, training.time_limit_s or float("inf"))
    if expected_s < LONG_S:
        return None
    line = f"{card.name} will take about {format_duration(expected_s)} on this machine"
    family = [
        cast(ModelCard, entry.card)
        for entry in registry.entries("model")
        if entry.plugin == plan.model.plugin
    ]
    of_task = [member for member in family if member.task == card.task]
    small = min(of_task, key=lambda member: member.num_params)
    if small.num_params > card.num_params / 2:
        return line
    share = small.num_params / card.num_params
    return f"{line}; {small.name}, with {100 * share:.0f} % of the parameters, takes less"
