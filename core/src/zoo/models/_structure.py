"""The structure of a model, a row for each of its top-level parts."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.cards import InputSpec


@dataclass(frozen=True, slots=True)
class StageRow:
    """One part of a model.

    Attributes:
        name: of the submodule ("layer1"), or "total".
        kind: what it is made of ("3 x Bottleneck").
        output_shape: for one image, without the batch; () where it gives no single tensor.
        num_params: parameters.
        gmacs: multiply-adds of convolutions and matrix products for one image, in 10^9.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    num_params: int
    gmacs: float


def describe_structure(model: nn.Module, input: InputSpec) -> list[StageRow]:  # noqa: A002
    """A row for each top-level part in the order of execution, and the total as the last.

    Nothing is computed: shapes run through a copy without data (on the meta device).  Parts without
    parameters that keep the shape of what came before (activations) are left out.

    Args:
        model: takes images (n, c, h, w); left as it is.
        input: the size and channels of the images.
    """
    probe = _copy_without_data(model).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [child.register_forward_hook(_note(shapes, n)) for n, child in probe.named_children()]
    images = torch.empty(1, input.channels, input.size_px, input.size_px, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        answer = probe(images)
    for hook in hooks:
        hook.remove()

    macs = {part: sum(of.values()) / 2e9 for part, of in flops.get_flop_counts().items()}
    kind = type(model).__name__
    children = dict(model.named_children())
    rows: list[StageRow] = []
    for name, shape in shapes.items():
        params = _num_params(children[name])
        if params or not rows or shape != rows[-1].output_shape:
            gmacs = macs.get(f"{kind}.{name}", 0.0)
            rows.append(StageRow(name, _kind(children[name]), shape, params, gmacs))
    total = macs.get("Global", 0.0)
    return [*rows, StageRow("total", kind, _shape(answer), _num_params(model), total)]


def _copy_without_data(model: nn.Module) -> nn.Module:
    """A deep copy whose parameters and buffers are on the meta device."""
    memo: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in model.buffers()}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    return copy.deepcopy(model, memo)


def _note(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Popped first: a part that runs twice (one ReLU for all) stands where it ran last.
        shapes.pop(name, None)
        shapes[name] = _shape(output)

    return hook


def _shape(output: Any) -> tuple[int, ...]:
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.Sequential):
        return type(module).__name__
    counts = Counter(type(child).__name__ for child in module)
    return ", ".join(f"{count} x {kind}" for kind, count in counts.items())


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
