"""Parts of a model that do not learn, and batch norms that do not move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.errors import ConfigError, did_you_mean

BACKBONE = "backbone"


class FrozenBatchNorm2d(nn.Module):
    """A batch norm whose statistics and factors are constants: a scale and a shift per channel.

    Its names are those of ``nn.BatchNorm2d`` without the batch counter, which is dropped when a
    state dict is loaded.

    Args:
        num_features: channels.
        eps: added to the variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


def freeze_batch_norms(model: nn.Module, *, eps: float | None = None) -> None:
    """Replace every ``BatchNorm2d`` inside ``model`` by a frozen one with the same values.

    A norm of a class derived from it stays, since it may do more, and neither learns nor moves.

    Args:
        model: changed in place.
        eps: of the frozen norms; default: that of each norm.
    """
    for parent in list(model.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d) and type(norm) is not nn.BatchNorm2d:
                _hold_still(norm)  # it does more than to normalise: timm's applies the activation
                norm.requires_grad_(False)
                norm.eps = norm.eps if eps is None else eps
            elif isinstance(norm, nn.BatchNorm2d):
                frozen = FrozenBatchNorm2d(norm.num_features, norm.eps if eps is None else eps)
                setattr(parent, name, _take_values(frozen, norm.state_dict()))
            elif isinstance(norm, FrozenBatchNorm2d) and eps is not None:
                norm.eps = eps


def _take_values(frozen: FrozenBatchNorm2d, values: Mapping[str, Tensor]) -> FrozenBatchNorm2d:
    for name in dict(frozen.named_buffers()):
        # A norm may have no factors or statistics of its own; then ones and zeros stand.
        if name in values:
            setattr(frozen, name, values[name].detach().clone())
    return frozen


def freeze_parts(model: nn.Module, parts: Sequence[str]) -> list[str]:
    """Stop parts of a model from learning; their batch norms stay in evaluation mode.

    They stay so through ``model.train()``, and the state dict keeps its keys.

    Args:
        model: changed in place.
        parts: "backbone" (all but the model's ``head_parts``), or submodules and parameters by
            name: "layer1", "layer4.2", "conv1.weight".

    Returns:
        The names of the parameters that no longer learn.

    Raises:
        ConfigError: a part that the model does not have; lists those that there are.
    """
    frozen = {
        name: parameter for part in parts for name, parameter in _parameters_of(model, part).items()
    }
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    belongs = [_membership(model, part) for part in parts]
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and any(belongs_to(name) for belongs_to in belongs):
            _hold_still(module)
    return list(frozen)


def _hold_still(norm: nn.Module) -> None:
    """Put a norm into evaluation mode for good."""
    norm.train(False)
    # Bound to the instance, so that a deep copy (EMA) binds its own.
    norm.train = MethodType(_stay_in_eval, norm)  # type: ignore[method-assign]


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001, FBT
    return module


def _membership(model: nn.Module, part: str) -> Callable[[str], bool]:
    """Says of the name of a parameter or module whether it belongs to the part."""
    if part == BACKBONE and _has_implied_backbone(model):
        head: tuple[str, ...] = model.head_parts  # type: ignore[assignment]
        return lambda name: not any(_under(name, prefix) for prefix in head)
    return lambda name: _under(name, part)


def _has_implied_backbone(model: nn.Module) -> bool:
    """Whether "backbone" means all but the head; a submodule of that name means itself."""
    return hasattr(model, "head_parts") and not hasattr(model, BACKBONE)


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _parameters_of(model: nn.Module, part: str) -> dict[str, nn.Parameter]:
    """The parameters of the part, by name."""
    belongs = _membership(model, part)
    found = {name: p for name, p in model.named_parameters() if belongs(name)}
    if found:
        return found
    parts = dict.fromkeys(name.partition(".")[0] for name, _ in model.named_parameters())
    known = [*([BACKBONE] if _has_implied_backbone(model) else []), *parts]
    near = did_you_mean(part, [*known, *(name for name, _ in model.named_modules() if name)])
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(
        f"{type(model).__name__} has no part {part!r} with parameters",
        f"{hint}Its parts: {', '.join(known)}.",
    )
