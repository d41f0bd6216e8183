"""The whole state of a run as named tensors and JSON values: what a resume restores.

Tensors are ``model/NAME``, ``ema/NAME``, ``optimizer/PARAMETER/KEY``, and for each process
``sums/RANK/...`` (the metrics of the epoch under way) and ``random/RANK/...``.  Names are the
model's own, without the prefix of any wrapper.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.checkpoint import Checkpoint
from zoo.distributed import gather_objects, is_main, rank
from zoo.errors import CheckpointError
from zoo.training._events import Callback
from zoo.training._fused import Optimizer
from zoo.training._state import RunState

if TYPE_CHECKING:
    from zoo.training._trainer import Trainer


def capture(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything that the next step depends on; every process must call it.

    Returns:
        Tensors, and JSON values; those of all processes, alike in each.
    """
    tensors = with_prefix("model", trainer.model.state_dict())
    tensors |= with_prefix("optimizer", optimizer_tensors(trainer.optimizer, trainer.model))
    if trainer.ema:
        tensors |= with_prefix("ema", trainer.ema.model.state_dict())
    own = {
        "sums": {name: tensor.cpu() for name, tensor in trainer.running.tensors().items()},
        "random": random_tensors(trainer.device),
        "values": random_values(),
    }
    everyone = gather_objects(own)
    for number, part in enumerate(everyone):
        tensors |= with_prefix(f"sums/{number}", part["sums"])
        tensors |= with_prefix(f"random/{number}", part["random"])
    values = {
        "state": asdict(replace(trainer.state, elapsed_s=trainer.elapsed_s())),
        "metrics": dict(trainer.last_metrics),
        "schedule": trainer.schedule.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "memory": trainer.memory.state_dict(),
        "callbacks": {name: c.state_dict() for name, c in _by_name(trainer.callbacks).items()},
        "random": [part["values"] for part in everyone],
        "record": trainer.describe_weights(),
    }
    return tensors, values


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put back what ``capture`` gave; every process must call it.

    With another number of processes, the first takes over the sums of all, and the random
    generators of those that were not there keep their seeds.
    """
    try:
        _restore(trainer, checkpoint)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{checkpoint.path} was written by another version of zoo: {error!r}",
            "Resume with the version that environment.json names.",
        ) from error


def _restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    tensors, values = checkpoint.tensors, checkpoint.values
    _load(trainer.model, under_prefix("model", tensors), checkpoint)
    if trainer.ema:
        _load(trainer.ema.model, under_prefix("ema", tensors), checkpoint)
    restore_optimizer(trainer.optimizer, trainer.model, under_prefix("optimizer", tensors))
    before, now = len(values["random"]), len(gather_objects(None))
    mine = [rank()] if before == now else list(range(before)) if is_main() else []
    for number in mine:
        trainer.running.add(under_prefix(f"sums/{number}", tensors))
    if rank() < before:
        own = under_prefix(f"random/{rank()}", tensors)
        restore_random(own, values["random"][rank()], trainer.device)
    trainer.state = RunState(**values["state"])
    trainer.last_metrics = values["metrics"]
    trainer.schedule.load_state_dict(values["schedule"])
    if trainer.scaler.is_enabled():
        trainer.scaler.load_state_dict(values["scaler"])
    trainer.memory.load_state_dict(values.get("memory", {}))
    for name, callback in _by_name(trainer.callbacks).items():
        if name in values["callbacks"]:
            callback.load_state_dict(values["callbacks"][name])


def _by_name(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by class; a second one of a class has its number in the name."""
    names: dict[str, Callback] = {}
    for callback in callbacks:
        name = type(callback).__name__
        number = sum(known.split(" ")[0] == name for known in names)
        names[f"{name} {number + 1}" if number else name] = callback
    return names


def _load(model: nn.Module, tensors: Mapping[str, Tensor], checkpoint: Checkpoint) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the tensors of {checkpoint.path} do not fit the model: {error}",
            "Resume with the plugin's version that the run was started with"
            " (environment.json names it).",
        ) from None


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name under ``prefix/``."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ``prefix/``, with their own names."""
    start = f"{prefix}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state by parameter name: ``layer1.0.conv1.weight/momentum_buffer``."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if value is not None
    }


def restore_optimizer(
    optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_tensors`` gave, each value on the device of its parameter."""
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for path, tensor in tensors.items():
        name, key = path.rsplit("/", 1)
        if name not in parameters:
            raise CheckpointError(f"the checkpoint's optimizer knows a parameter {name!r}")
        parameter = parameters[name]
        value = tensor.to(parameter.device).clone(memory_format=torch.preserve_format)
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state.setdefault(parameter, {})[key] = value


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's random generators in this process."""
    tensors = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def random_values() -> dict[str, Any]:
    """The state of Python's and numpy's global generators, as JSON values."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    inner = numpy_state["state"]
    return {
        "python": random.getstate(),
        "numpy": numpy_state | {"state": {"key": inner["key"].tolist(), "pos": inner["pos"]}},
    }


def restore_random(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], device: torch.device
) -> None:
    """Put back what ``random_tensors`` and ``random_values`` gave."""
    restore_generators(tensors, device)
    version, words, gauss = values["python"]
    random.setstate((version, tuple(words), gauss))
    inner = values["numpy"]["state"]
    key = np.asarray(inner["key"], dtype=np.uint32)
    np.random.set_state(  # noqa: NPY002
        dict(values["numpy"]) | {"state": {"key": key, "pos": inner["pos"]}}
    )


def restore_generators(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what ``random_tensors`` gave."""
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["cuda"], device)


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seed every random generator of this process; ranks differ."""
    random.seed(seed + rank)
    np.random.seed((seed + rank) % 2**32)  # noqa: NPY002
    torch.manual_seed(seed + rank)
