"""Put weights into a model, whole: every tensor is accounted for before any is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.errors import WeightsError
from zoo.wording import counted

_COUNTER = "num_batches_tracked"
"""Of batch norms; old files and frozen norms do not have it, and nothing depends on it."""


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of each tensor.

    Attributes:
        loaded: names that now have the file's values.
        new: names that keep their fresh values: a head for other classes, a first convolution for
            other channels.
        unused: names in the file for a head that the model does not have.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{counted(len(self.loaded), 'tensor')} loaded"
        if self.new:
            text += f"; new: {', '.join(self.new)}"
        if self.unused:
            text += f"; not needed: {', '.join(self.unused)}"
        return text


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> WeightsReport:
    """Copy weights into a model.

    With another number of classes the tensors of the head stay new, with another number of input
    channels the first convolution; all else must fit, or nothing is changed.

    Args:
        model: its ``head_parts``, where it names them, says which submodules depend on the classes;
            otherwise that is the last submodule with parameters.
        tensors: by name, as in the model's state dict; a model may have a ``convert_weights`` that
            gives an author's published tensors these names.

    Raises:
        WeightsError: tensors that are missing, unknown, of another shape or not finite.
    """
    if (convert := getattr(model, "convert_weights", None)) is not None:
        tensors = convert(tensors)
    own = model.state_dict()
    head = _head_of(model)
    new = {name for name in own if _may_be_new(name, own, tensors, head)}
    unused = [name for name in tensors if name not in own and _under(name, head)]
    missing = [n for n in own if n not in tensors and n not in new and not n.endswith(_COUNTER)]
    unknown = [n for n in tensors if n not in own and n not in unused and not n.endswith(_COUNTER)]
    loaded = {name: tensors[name] for name in own if name in tensors and name not in new}
    reshaped = [name for name in loaded if loaded[name].shape != own[name].shape]
    if missing or unknown or reshaped:
        raise WeightsError(
            f"the weights do not fit {type(model).__name__}: "
            + "; ".join(
                f"{what}: {_some(names)}"
                for what, names in (
                    ("missing", missing),
                    ("unknown", unknown),
                    ("of another shape", reshaped),
                )
                if names
            ),
            "Are they the weights of another model, or of one with other options?",
        )
    if bad := [name for name, tensor in loaded.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(f"the weights hold NaN or infinite values: {_some(bad)}")
    model.load_state_dict(loaded, strict=False)
    return WeightsReport(tuple(loaded), tuple(n for n in own if n in new), tuple(unused))


def _may_be_new(
    name: str, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Collection[str]
) -> bool:
    """Whether the tensor differs only by the number of classes or of input channels."""
    if name not in tensors:
        return _under(name, head)
    ours, theirs = own[name].shape, tensors[name].shape
    if ours == theirs:
        return False
    if _under(name, head):
        return ours[1:] == theirs[1:]
    # The first filter; tables of positions and tokens may stand before it.
    is_first = name == next((n for n, tensor in own.items() if tensor.ndim == 4), None)
    same_filters = len(ours) == len(theirs) and ours[0] == theirs[0] and ours[2:] == theirs[2:]
    return is_first and same_filters


def _head_of(model: nn.Module) -> tuple[str, ...]:
    named: tuple[str, ...] | None = getattr(model, "head_parts", None)
    if named is not None:
        return named
    owners = [name.rpartition(".")[0] for name, _ in model.named_parameters()]
    return tuple(owners[-1:])


def _under(name: str, prefixes: Collection[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
