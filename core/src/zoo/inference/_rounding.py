"""Weights that no longer learn, rounded to the compute precision once and not for every batch.

autocast keeps what it has rounded of weights that require grad, until its context ends.  Others it
rounds whenever they are used: on a CPU, 6 to 11 % of the time of a ResNet's pass of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

_ROUNDED_BY_AUTOCAST = frozenset(
    {
        functional.linear,
        *(functional.conv1d, functional.conv2d, functional.conv3d),
        *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
    }
)


class KeptRoundings(TorchFunctionMode):
    """Within it, layers are given the weights that autocast would round, rounded before.

    Answers are the same bits.  The model stays as it is, with its hooks and whoever else reads its
    weights; where autocast is off, layers get what they always do.  What is kept takes half of the
    memory of float32 weights, for as long as both this and the weights live.

    Args:
        device: whose autocast is meant.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device.type
        self._kept = WeakIdKeyDictionary()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in _ROUNDED_BY_AUTOCAST and torch.is_autocast_enabled(self._device):
            args = [self._rounded(value) if _is_weight(value) else value for value in args]
        return function(*args, **(kwargs or {}))

    def _rounded(self, weight: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype(self._device)
        state = (dtype, weight.data_ptr(), weight._version)  # noqa: SLF001 - changes with its values
        known: tuple[Any, Tensor] | None = self._kept.get(weight)
        if known is None or known[0] != state:
            known = self._kept[weight] = (state, weight.detach().to(dtype))
        return known[1]


def _is_weight(value: object) -> bool:
    """Whether it has values of its own, whose changes are counted."""
    return type(value) is nn.Parameter and value.dtype == torch.float32 and not value.is_inference()
