"""The module that is exported, and its trace.

Shapes: b images, c channels, h w height and width in px.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.models import fold_batch_norms

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from zoo.cards import InputSpec
    from zoo.exporting._shape import InputShape
    from zoo.tasks import Task

INPUT = "images"
"""What the graph's one input is called."""


class DeployedModel(nn.Module):
    """Images as they are decoded to the answers of a task.

    Args:
        model: in evaluation mode, on the CPU.
        task: says what an answer is.
        spec: mean and std of the images.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: nn.Module, task: Task, spec: InputSpec) -> None:
        super().__init__()
        self.model = model
        self._task = task
        # Of pixels from 0 to 255, as evaluations reckon: (pixels - mean) * scale.
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).reshape(-1, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(spec.std).reshape(-1, 1, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w) uint8 -> (b, ...) float32."""
        return self._task.deployed(self.model, (images.float() - self.mean) * self.scale)


def trace_deployed(model: nn.Module, task: Task, spec: InputSpec, shape: InputShape) -> Any:
    """The ``ExportedProgram`` of a model; batch norms are in its convolutions.

    Args:
        model: on the CPU in float32; left as it is.
        task, spec: as for ``DeployedModel``.
        shape: of the images.

    Raises:
        Exception: whatever torch says of a model that it cannot trace.
    """
    plain: nn.Module = copy.deepcopy(model)
    plain.to(memory_format=torch.contiguous_format)
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, shape.example(), dtype=np.uint8)
    )
    deployed = DeployedModel(plain, task, spec).eval()
    with torch.no_grad():
        deployed.model = fold_batch_norms(
            plain, lambda folded: DeployedModel(folded, task, spec)(images)
        )
    return without_paths(trace(deployed, (images,), dynamic={INPUT: shape.dynamic()}))


def trace(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: Any = None,
) -> ExportedProgram:
    """``torch.export`` of a model in evaluation mode, without what it logs.

    Args:
        model: to be traced.
        args, kwargs: what it is called with.
        dynamic: dimensions that are no constants, as ``torch.export`` takes them.

    Raises:
        Exception: whatever torch says of a model that it cannot trace.
    """
    with torch.no_grad(), quiet():
        return torch.export.export(model, args, dict(kwargs or {}), dynamic_shapes=dynamic)


def without_paths(program: ExportedProgram) -> ExportedProgram:
    """A program whose nodes do not say in which file of this machine each was traced."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporters log and warn of: thousands of lines for one that fails."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
