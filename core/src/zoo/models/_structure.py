"""The structure of a model, a row for each of its top-level parts."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from zoo.cards import InputSpec


@dataclass(frozen=True, slots=True)
class StageRow:
    """One part of a model.

    Attributes:
        name: of the submodule ("layer1"), or "total".
        kind: what it is made of ("3 x Bottleneck").
        output_shape: for one image, without the batch; () where it gives no single tensor.
        num_params: parameters.
        gmacs: multiply-adds of convolutions and linear layers for one image, in 10^9.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    num_params: int
    gmacs: float


def describe_structure(
    model: nn.Module,
    input: InputSpec,  # noqa: A002
    *,
    task: str = "classification",
) -> list[StageRow]:
    """A row for each top-level part in the order of execution, and the total as the last.

    One image of zeros runs through the model where it is: on the CPU that takes less time than
    torch needs to load its meta device, on which a model built there is described as well.  Parts
    without parameters that keep the shape of what came before (activations) are left out.

    The work of some models depends on what they see: a detector's, on the number of its proposals.
    One that has a ``typical_pass(images)`` is described by that in place of its forward pass, on
    the meta device, where the work costs nothing.

    Args:
        model: takes images (n, c, h, w); left as it was.
        input: the size and channels of the images.
        task: of the model; a detector is told the sizes of its images as well.
    """
    if hasattr(model, "typical_pass"):
        model = copy.deepcopy(model).to("meta")
    shapes, macs = _run(model, input, is_detector=task == "detection")
    kind = type(model).__name__
    children = dict(model.named_children())
    total = StageRow(
        "total", kind, shapes.pop("", ()), _num_params(model), sum(macs.values()) / 1e9
    )
    rows: list[StageRow] = []
    for name, shape in shapes.items():
        params = _num_params(children[name])
        if params or not rows or shape != rows[-1].output_shape:
            rows.append(StageRow(name, _kind(children[name]), shape, params, macs[name] / 1e9))
    return [*rows, total]


@contextmanager
def counted_multiply_adds(model: nn.Module) -> Iterator[Counter[str]]:
    """Count the multiply-adds of convolutions and linear layers while the block runs the model.

    Yields:
        Their numbers by the name of the top-level part.
    """
    macs: Counter[str] = Counter()
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, _ConvNd)):
            part = name.partition(".")[0]
            hooks.append(
                module.register_forward_hook(
                    lambda m, x, y, n=part: macs.update({n: _multiply_adds(m, x[0], y)})
                )
            )
    try:
        yield macs
    finally:
        for hook in hooks:
            hook.remove()


def _run(
    model: nn.Module, spec: InputSpec, *, is_detector: bool
) -> tuple[dict[str, tuple[int, ...]], Counter[str]]:
    """The output shape of each part that runs, "" being the model, and its multiply-adds."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note_shape(name: str, output: Any) -> None:
        # Popped first: a part that runs twice (one ReLU for all) stands where it ran last.
        shapes.pop(name, None)
        shapes[name] = _shape(output)

    hooks = [
        module.register_forward_hook(lambda _m, _x, y, n=name: note_shape(n, y))
        for name, module in [("", model), *model.named_children()]
    ]
    modes = [(module, module.training) for module in model.modules()]
    device = next((parameter.device for parameter in model.parameters()), None)
    try:
        with torch.no_grad(), counted_multiply_adds(model) as macs:
            images = torch.zeros(1, spec.channels, spec.size_px, spec.size_px, device=device)
            run = getattr(model.eval(), "typical_pass", None)
            if run is None and is_detector:
                run = partial(model, sizes=torch.tensor([[spec.size_px, spec.size_px]]))
            (run or model)(images)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return shapes, macs


def _multiply_adds(module: nn.Linear | _ConvNd, x: Tensor, y: Tensor) -> int:
    """Each element of the output (of a transposed convolution: the input) meets one filter."""
    if isinstance(module, nn.Linear):
        return y.numel() * module.in_features
    if module.transposed:
        return x.numel() * module.weight[0].numel()
    return y.numel() * module.weight[0].numel()


def _shape(output: Any) -> tuple[int, ...]:
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.Sequential):
        return type(module).__name__
    counts = Counter(type(child).__name__ for child in module)
    return ", ".join(f"{count} x {kind}" for kind, count in counts.items())


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
