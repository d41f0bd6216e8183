"""From a run, or a model's name and its published weights, to a predictor."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from zoo.cards import ModelCard, WeightsCard
from zoo.checkpoint import (
    class_names,
    fetch_weights,
    load_best,
    load_checkpoint,
    load_weights,
    read_weights,
    resolve_weights,
    step_folders,
)
from zoo.config import check_options, load_config
from zoo.devices import choose_device, choose_precision
from zoo.errors import (
    CheckpointError,
    PluginError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from zoo.inference._predictor import Predictor
from zoo.inference._record import ModelRecord
from zoo.inference._run_proposer import RunProposer
from zoo.models import build_model
from zoo.proposals import Method, Proposer, check_weights_of, open_proposer
from zoo.registry import default_registry
from zoo.runs import RunFolder
from zoo.wording import to_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from zoo.checkpoint import Checkpoint
    from zoo.registry import Entry, Registry
    from zoo.tasks import Task

_STEP = re.compile(r"step-\d+")


def load_run(
    run: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    precision: str = "auto",
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    warn: Callable[[str], None] | None = None,
) -> Predictor:
    """The model of a run, with its own preprocessing and class names, ready to call on images.

    >>> import zoo
    >>> predictor = zoo.load_run("runs/pets")
    >>> predictor("cat.png")["label"]
    'cat'
    >>> [answer["label"] for answer in predictor(["cat.png", "dog.png"])]
    ['cat', 'dog']

    Args:
        run: its folder, which may have been moved or copied from another machine.
        checkpoint: "best", "last", or "step-N".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "fp32", "bf16", "fp16", or "auto": that of the run on a device of its kind,
            else what the device does best.
        task_options: replace those of the run (``{"top_k": 3}``).
        registry: default: everything that is installed.
        warn: told what a person should know (a damaged checkpoint); default: nobody.

    Raises:
        RunFolderError: the folder is no run.
        CheckpointError: it has no such checkpoint, or a damaged one.
        PluginError: the plugin of its model is not installed; names it.
    """
    folder = RunFolder.open(Path(run))
    record, tensors = _read_run(folder, checkpoint, warn or to_nobody)
    place = choose_device(device)
    return build_predictor(
        record,
        tensors,
        device=str(place),
        precision=_precision_of_run(folder, place) if precision == "auto" else precision,
        task_options=task_options,
        registry=registry,
    )


def load_model(
    name: str,
    weights: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    message: Callable[[str], None] | None = None,
) -> Predictor:
    """A model with published weights, or with those of a file, ready to call on images.

    The classes of a file are not known: they are named by their numbers, if the task has any.

    Args:
        name: short or full name of the model.
        weights: a published set's name, or a .safetensors or .pth file.
        device, precision, task_options, registry: as for ``load_run``.
        message: told what is downloaded; default: nobody.

    Raises:
        UnknownNameError: nobody has the model or the weights.
        WeightsError: the weights cannot be fetched or do not fit.
    """
    registry = registry or default_registry()
    entry = registry.get("model", name)
    card = cast(ModelCard, entry.card)
    task = registry.task_of(entry)
    has_classes = registry.has_classes(task)
    chosen = resolve_weights(card, weights)
    if isinstance(chosen, WeightsCard):
        tensors = read_weights(fetch_weights(chosen, message=message))
        classes = _published_classes(entry, chosen) if has_classes else ()
        spec, outputs = chosen.preprocess, len(classes) or card.num_classes
        options = chosen.options
    else:
        tensors = read_weights(chosen)
        outputs = _count_outputs(entry, tensors, registry)
        classes = tuple(map(str, range(outputs))) if has_classes else ()
        spec, options = card.input, {}
    record = ModelRecord(
        model=entry.full_name,
        distribution=entry.distribution,
        version=entry.version,
        num_classes=outputs,
        in_channels=spec.channels,
        classes=classes,
        input=spec,
        task=task.full_name,
        options=options,
        weights=weights,
    )
    return build_predictor(
        record,
        tensors,
        device=device,
        precision=precision,
        task_options=task_options,
        registry=registry,
    )


def _published_classes(entry: Entry, weights: WeightsCard) -> tuple[str, ...]:
    if not weights.classes:
        raise WeightsError(
            f"the weights {weights.name} of {entry.full_name} have no named classes to answer with",
            f"They serve as a start: zoo train {entry.full_name} --weights {weights.name}",
        )
    return class_names(weights)


def build_predictor(
    record: ModelRecord,
    tensors: Mapping[str, Tensor],
    *,
    device: str = "auto",
    precision: str = "auto",
    task_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
) -> Predictor:
    """The model that a record describes, with these weights.

    Raises:
        PluginError: the plugin of its model or task is not installed.
        WeightsError: the tensors are not those of the model.
    """
    registry = registry or default_registry()
    for kind, name in (("model", record.model), ("task", record.task)):
        _check_installed(registry, kind, name, record)
    task = _build_task(record, task_options or {}, registry)
    model = build_model(
        record.model,
        num_classes=record.num_classes,
        in_channels=record.in_channels,
        registry=registry,
        **record.options,
    )
    report = load_weights(model, tensors)
    if report.new or report.unused:
        raise WeightsError(
            f"the weights do not fit {record.model}: {', '.join(report.new or report.unused)}",
            f"They were made by {record.distribution} {record.version}.",
        )
    place = choose_device(device)
    # Contiguous images are converted on the way; convolutions are faster so on every device.
    model.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Predictor(
        model,
        task,
        record,
        device=place,
        precision=choose_precision(precision, place),
        open_proposer=_proposer_of(record, device, registry),
    )


def open_method(
    method: Method, *, device: str = "auto", registry: Registry | None = None
) -> Proposer:
    """What proposes: a proposer of the registry, or the model of a run.

    Raises:
        UsageError: it is not installed, or the run is not there, has other weights by now, or a
            model that proposes nothing.
    """
    registry = registry or default_registry()
    if method.run is None:
        return open_proposer(method, registry)
    check_weights_of(method)
    return RunProposer(load_run(method.run, device=device, registry=registry))


def _proposer_of(
    record: ModelRecord, device: str, registry: Registry
) -> Callable[[], Proposer] | None:
    """What opens the proposer of a model that wants proposals."""
    if not record.proposals:
        return None
    method = Method.from_json(record.proposals["method"])
    return partial(open_method, method, device=device, registry=registry)


def _build_task(record: ModelRecord, options: Mapping[str, Any], registry: Registry) -> Task:
    factory = registry.load(registry.get("task", record.task))
    wanted = {**record.task_options, **options}
    checked = check_options("task", factory, wanted, provided=("classes",))
    task: Task = factory(classes=record.classes, **checked)
    return task


def _check_installed(registry: Registry, kind: str, name: str, record: ModelRecord) -> None:
    try:
        registry.get(kind, name)
    except UnknownNameError:
        plugin = name.partition(":")[0]
        maker = f"{record.distribution} {record.version}"
        owner = f"it was made by {maker}" if kind == "model" else f"its plugin is {plugin!r}"
        raise PluginError(
            f"the {kind} of these weights, {name}, is not installed; {owner}",
            f"Install it: pip install {record.distribution}" if kind == "model" else "Install it.",
        ) from None


def _read_run(
    folder: RunFolder, checkpoint: str, warn: Callable[[str], None]
) -> tuple[ModelRecord, Mapping[str, Tensor]]:
    """The record and the weights of a run's checkpoint."""
    if checkpoint not in ("best", "last") and not _STEP.fullmatch(checkpoint):
        raise UsageError(f"unknown checkpoint {checkpoint!r}", "Use best, last or step-N.")
    if checkpoint == "best":
        try:
            best = load_best(folder.best)
        except CheckpointError as error:
            error.cure = error.cure or "Use other weights of the run: --checkpoint last."
            raise
        return ModelRecord.from_json(best.values), best.tensors
    state = _read_step(folder, checkpoint, warn)
    record = ModelRecord.from_json(state.values.get("record", {}))
    prefix = "ema/" if record.ema else "model/"
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.tensors.items()
        if name.startswith(prefix)
    }
    return replace(record, metrics={}), tensors


def _precision_of_run(folder: RunFolder, device: torch.device) -> str:
    machine = load_config(folder.config).config.machine
    return machine.precision if machine.device.startswith(device.type) else "auto"


def _read_step(folder: RunFolder, checkpoint: str, warn: Callable[[str], None]) -> Checkpoint:
    """A checkpoint by name; "last" is the newest that verifies.  Nothing in the run is touched."""
    present = {path.name: path for path in step_folders(folder.checkpoints)}
    if checkpoint in present:
        return load_checkpoint(present[checkpoint])
    if checkpoint != "last":
        names = ", ".join(["best", "last", *present])
        raise UnknownNameError("checkpoint", checkpoint, present, f"There are: {names}.")
    for path in reversed(present.values()):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            warn(f"{error.cause}; the checkpoint before it is used")
    raise CheckpointError(f"{folder.path} has no checkpoint that verifies")


def _count_outputs(entry: Entry, tensors: Mapping[str, Tensor], registry: Registry) -> int:
    """With how many outputs the layers of the model have as many rows as those of the file.

    Their rows grow with the outputs in a straight line: one for each output, or as in a detector
    four, and more for the background.  Two models without values give the line.
    """
    few = 10
    with torch.device("meta"):
        smaller, larger = (
            build_model(entry.full_name, num_classes=outputs, registry=registry).state_dict()
            for outputs in (few, few + 1)
        )
    grown = [name for name, tensor in smaller.items() if tensor.shape != larger[name].shape]
    if not grown:  # it answers with a number that has nothing to do with classes
        return cast(ModelCard, entry.card).num_classes
    name = grown[0]
    if name not in tensors or tensors[name].ndim != smaller[name].ndim:
        raise WeightsError(
            f"the file holds no {name}, which {entry.full_name} has",
            "Are they the weights of another model?",
        )
    of_one = len(larger[name]) - len(smaller[name])
    more = len(tensors[name]) - len(smaller[name])
    return max(few + more // of_one, 1)
