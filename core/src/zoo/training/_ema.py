"""Exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from zoo.config import RunConfig


class Ema:
    """A copy of the model whose parameters and float buffers follow the model's slowly.

    ``average = decay * average + (1 - decay) * weight`` every ``every_steps`` steps; integer
    buffers are copied.  As in timm and torchvision, batch-norm statistics are averaged too.
    """

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        section = config.training.ema
        if section is None:
            raise ValueError("training.ema is not set")
        self._section = section
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        own = self.model.state_dict()
        pairs = [(own[name], tensor) for name, tensor in model.state_dict().items()]
        self._averages = [mean for mean, tensor in pairs if tensor.is_floating_point()]
        self._weights = [tensor for _, tensor in pairs if tensor.is_floating_point()]
        self._kept = [mean for mean, tensor in pairs if not tensor.is_floating_point()]
        self._counters = [tensor for _, tensor in pairs if not tensor.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights that ``step`` steps have made."""
        if step % self._section.every_steps:
            return
        decay = 0.0 if step <= self._section.warmup_steps else self._section.decay
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        if self._counters:
            torch._foreach_copy_(self._kept, self._counters)
