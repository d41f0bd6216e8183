"""Optimizers by name, and which parameters decay or learn at a rate of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from zoo.config import RunConfig, check_options
from zoo.errors import ConfigError, UnknownNameError
from zoo.extras import import_extra
from zoo.training._fused import FusedAdam, FusedSgd, Groups, Optimizer, supports


def sgd(
    groups: Groups, *, momentum: float = 0.9, nesterov: bool = False, dampening: float = 0.0
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    if supports(groups):
        return FusedSgd(groups, momentum=momentum, nesterov=nesterov, dampening=dampening)
    return torch.optim.SGD(
        groups, lr=0.0, momentum=momentum, nesterov=nesterov, dampening=dampening
    )


def adamw(
    groups: Groups, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov 2017, arXiv:1711.05101)."""
    if supports(groups):
        return FusedAdam(groups, betas=betas, eps=eps, decoupled=True)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps)


def adam(
    groups: Groups, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> Optimizer:
    """Adam (Kingma 2014, arXiv:1412.6980)."""
    if supports(groups):
        return FusedAdam(groups, betas=betas, eps=eps, decoupled=False)
    return torch.optim.Adam(groups, lr=0.0, betas=betas, eps=eps)


def rmsprop(
    groups: Groups,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
) -> Optimizer:
    """RMSprop (Hinton's lecture 6e of 2012)."""
    return torch.optim.RMSprop(
        groups, lr=0.0, alpha=alpha, eps=eps, momentum=momentum, centered=centered, foreach=True
    )


def lamb(
    groups: Groups,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    max_grad_norm: float | None = 1.0,
) -> Optimizer:
    """LAMB (You 2019, arXiv:1904.00962), timm's implementation."""
    library = import_extra(
        "timm.optim.lamb", library="timm", purpose="the optimizer lamb", install="zoo-core[lamb]"
    )
    optimizer: Optimizer = library.Lamb(
        groups, lr=1e-3, betas=betas, eps=eps, max_grad_norm=max_grad_norm
    )
    return optimizer


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "adam": adam,
    "rmsprop": rmsprop,
    "lamb": lamb,
}
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_DEFAULTS = {
    "sgd": {"learning_rate": 0.05, "weight_decay": 5e-4},
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0.05},
    "adam": {"learning_rate": 1e-3, "weight_decay": 0.0},
    "rmsprop": {"learning_rate": 1e-3, "weight_decay": 0.0},
    "lamb": {"learning_rate": 5e-3, "weight_decay": 0.02},
}
"""What suits each on small batches of images, where neither a recipe nor the user says it."""


def build_optimizer(model: nn.Module, config: RunConfig) -> Optimizer:
    """The optimizer that the config names, over the parameters of the model that learn.

    Each group has ``rate_factor``, which the trainer multiplies the schedule's rate with.

    Raises:
        UnknownNameError, ConfigError: no such optimizer, or not such options.
    """
    options = optimizer_options(config)
    groups = parameter_groups(model, config)
    try:
        return OPTIMIZERS[config.optimizer.name](groups, **options)
    except ValueError as error:  # a number out of its range
        raise ConfigError(f"optimizer {config.optimizer.name}: {error}") from error


def optimizer_options(
    config: RunConfig, origins: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The options of the optimizer that the config names, checked.

    Raises:
        UnknownNameError, ConfigError: no such optimizer, or not such options.
    """
    section = config.optimizer
    if section.name not in OPTIMIZERS:
        raise UnknownNameError(
            "optimizer", section.name, OPTIMIZERS, f"Known: {', '.join(OPTIMIZERS)}."
        )
    return check_options(
        "optimizer",
        OPTIMIZERS[section.name],
        section.options,
        provided=("groups",),
        origins=origins,
    )


def optimizer_defaults(config: RunConfig) -> dict[str, float]:
    """``learning_rate`` and ``weight_decay``, where the config leaves them to its optimizer."""
    return {
        key: value
        for key, value in _DEFAULTS[config.optimizer.name].items()
        if getattr(config.optimizer, key) is None
    }


def learning_rate(config: RunConfig) -> float:
    """The config's, or what suits its optimizer; before any scaling to the batch."""
    rate = config.optimizer.learning_rate
    return optimizer_defaults(config)["learning_rate"] if rate is None else rate


def weight_decay(config: RunConfig) -> float:
    """The config's, or what suits its optimizer."""
    decay = config.optimizer.weight_decay
    return optimizer_defaults(config)["weight_decay"] if decay is None else decay


def parameter_groups(model: nn.Module, config: RunConfig) -> Groups:
    """The learning parameters, by weight decay and rate factor.

    ``undecayed`` spares tensors of one dimension (norms and all biases), those of norms alone, or
    nothing from weight decay.  ``layer_rates`` are matched by the longest prefix of the
    parameter's name.
    """
    section, weighted = config.optimizer, weight_decay(config)
    spared = _undecayed(model, section.undecayed)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (0.0 if name in spared else weighted, _rate(name, section.layer_rates))
            groups.setdefault(key, []).append(parameter)
    _check_prefixes(section.layer_rates, (name for name, _ in model.named_parameters()))
    if not groups:
        raise ConfigError("every parameter is frozen", "Freeze fewer parts: see --freeze.")
    return [
        {"params": parameters, "weight_decay": decay, "rate_factor": rate}
        for (decay, rate), parameters in groups.items()
    ]


def _undecayed(model: nn.Module, which: str) -> set[str]:
    """The names of the parameters that do not decay."""
    if which == "nothing":
        return set()
    if which == "norms_and_biases":
        return {name for name, parameter in model.named_parameters() if parameter.ndim < 2}
    return {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, _NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }


def _rate(name: str, rates: dict[str, float]) -> float:
    prefixes = [prefix for prefix in rates if _starts(name, prefix)]
    return rates[max(prefixes, key=len)] if prefixes else 1.0


def _starts(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _check_prefixes(rates: dict[str, float], names: Iterable[str]) -> None:
    names = list(names)
    for prefix in rates:
        if not any(_starts(name, prefix) for name in names):
            parts = dict.fromkeys(name.split(".")[0] for name in names)
            raise ConfigError(
                f"optimizer.layer_rates: no parameter starts with {prefix!r}",
                f"The model's parts are {', '.join(parts)}.",
            )
