"""SGD, Adam and AdamW by torch's fused kernels, called directly.

Bit for bit what ``torch.optim`` computes with ``fused=True``.  Its classes import torch's compiler
stack at their first use, which takes seconds, and their wrappers cost more than a small step.  The
kernels are not public: where they are missing, ``supports`` is False and ``torch.optim`` serves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from typing import Any, Protocol

import torch
from torch import Tensor

Groups = list[dict[str, Any]]

_KERNELS = ("_fused_sgd_", "_fused_adam_", "_fused_adamw_")


class Optimizer(Protocol):
    """What the trainer uses of an optimizer: ours, torch's or a library's.

    Attributes:
        param_groups: mappings with "params", "lr", "weight_decay" and "rate_factor".
        state: tensors by parameter and name.
    """

    param_groups: list[dict[str, Any]]

    @property
    def state(self) -> MutableMapping[Any, Any]: ...

    def step(self) -> Any:
        """Update the parameters by their gradients."""

    def zero_grad(self) -> Any:
        """Forget the gradients."""


def supports(groups: Groups) -> bool:
    """Whether the kernels are there, for these parameters on their device."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(hasattr(torch, kernel) for kernel in _KERNELS) and all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters
    )


class FusedOptimizer(ABC):
    """One kernel for each group; what trainer and GradScaler use of ``torch.optim.Optimizer``.

    Args:
        groups: each with "params" of one type on one device, and "weight_decay"; "lr" is set
            before each step.

    Attributes:
        found_inf: () float on the device; where it is 1, the kernels change nothing.
        grad_scale: () float that the kernels divide gradients by.
    """

    _step_supports_amp_scaling = True

    def __init__(self, groups: Groups) -> None:
        self.param_groups = [{"lr": 0.0, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self.found_inf: Tensor | None = None
        self.grad_scale: Tensor | None = None

    def step(self) -> None:
        """Update every parameter that has a gradient.

        All memory is allocated before the first update, so that a step for which there is not
        enough has changed nothing.
        """
        with torch.no_grad():
            learning = [[p for p in g["params"] if p.grad is not None] for g in self.param_groups]
            new = {p: self._new_state(p) for ps in learning for p in ps if p not in self.state}
            self.state |= new
            for group, parameters in zip(self.param_groups, learning, strict=True):
                if parameters:
                    is_first = all(parameter in new for parameter in parameters)
                    self._update(parameters, [p.grad for p in parameters], group, is_first=is_first)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @abstractmethod
    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is remembered of a parameter, before its first update."""

    @abstractmethod
    def _update(
        self, parameters: list[Tensor], gradients: list[Tensor], group: Any, *, is_first: bool
    ) -> None:
        """Run the kernel on one group."""


class FusedSgd(FusedOptimizer):
    """``torch.optim.SGD``."""

    def __init__(
        self, groups: Groups, *, momentum: float, nesterov: bool, dampening: float
    ) -> None:
        super().__init__(groups)
        if momentum < 0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        self._options: dict[str, Any] = {
            "momentum": momentum,
            "nesterov": nesterov,
            "dampening": dampening,
        }

    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        if not self._options["momentum"]:
            return {}
        # Zeros, where torch.optim has empty memory: a gated first step leaves them.
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def _update(
        self, parameters: list[Tensor], gradients: list[Tensor], group: Any, *, is_first: bool
    ) -> None:
        states = [self.state[p] for p in parameters] if self._options["momentum"] else []
        torch._fused_sgd_(
            parameters,
            gradients,
            [state["momentum_buffer"] for state in states],
            weight_decay=group["weight_decay"],
            lr=group["lr"],
            maximize=False,
            is_first_step=is_first and bool(states),  # without momentum CUDA warns of it
            grad_scale=self.grad_scale,
            found_inf=self.found_inf,
            **self._options,
        )


class FusedAdam(FusedOptimizer):
    """``torch.optim.Adam``, or ``AdamW`` where the decay is decoupled."""

    def __init__(
        self, groups: Groups, *, betas: tuple[float, float], eps: float, decoupled: bool
    ) -> None:
        super().__init__(groups)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Invalid betas {betas}: each must be at least 0 and below 1")
        self._options: dict[str, Any] = {"beta1": betas[0], "beta2": betas[1], "eps": eps}
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }

    def _update(
        self, parameters: list[Tensor], gradients: list[Tensor], group: Any, *, is_first: bool
    ) -> None:
        states = [self.state[p] for p in parameters]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        self._kernel(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            amsgrad=False,
            maximize=False,
            grad_scale=self.grad_scale,
            found_inf=self.found_inf,
            **self._options,
        )
        if self.found_inf is not None:
            torch._foreach_sub_(steps, [self.found_inf] * len(steps))
