"""Train a model, or go on with a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from zoo.cards import DatasetCard
from zoo.config import Layer, load_config
from zoo.data.sources import find_dataset, open_source
from zoo.devices import check_processes, choose_device, choose_precision
from zoo.proposals import Bar
from zoo.registry import Registry, default_registry
from zoo.runs import RunFolder
from zoo.training import Callback
from zoo.wording import to_nobody
from zoo.workflows._job import Job, TrainResult
from zoo.workflows._plan import THIS_MACHINE, RunPlan, check_plan, is_for, overlay, plan_run
from zoo.workflows._resume import check_changes, check_length


def train(
    config: Mapping[str, Any],
    *,
    output: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    profile_steps: int | None = None,
    registry: Registry | None = None,
) -> TrainResult:
    """Train a model as ``zoo train`` does.

    >>> import zoo
    >>> result = zoo.train(
    ...     {"model": {"name": "resnet20"}, "training": {"max_steps": 2}}, output="my-run"
    ... )  # doctest: +SKIP

    Args:
        config: the run's description by section and key, as in a ``--config`` file; only
            ``model.name`` is needed.
        output: the run folder; default: ``runs/<model>-<dataset>-<time>``.
        callbacks: heard beside the console and the log.
        profile_steps: so many steps are measured, and the result says where their time went.
        registry: default: everything that is installed.

    Raises:
        UsageError: something in the config or the data is wrong; nothing was written.
        NonFiniteError, StorageError, StoppedError: see ``Trainer.fit``.
    """
    plan = plan_training([Layer("Python", config)], registry=registry)
    return run_training(
        plan, output=output, callbacks=callbacks, profile_steps=profile_steps, registry=registry
    )


def plan_training(
    layers: Sequence[Layer],
    *,
    resume: Path | None = None,
    registry: Registry | None = None,
) -> RunPlan:
    """Resolve names and options, and settle what the machine decides; nothing is written.

    Args:
        layers: of the config; with ``resume``, only what ``MAY_CHANGE``.
        resume: the folder of a run that shall go on.

    Raises:
        UsageError: an unknown name, key or option, a wrong type, or no such run.
    """
    registry = registry or default_registry()
    if resume is None:
        return on_machine(plan_run(layers, registry))
    resolved = load_config(RunFolder.open(resume).config)
    epochs_before = resolved.config.training.epochs
    for layer in layers:
        check_changes(layer)
        resolved = overlay(resolved, layer)
    plan = on_machine(check_plan(resolved, registry))
    check_length(plan, epochs_before)
    return plan


def check_borrowed_data(plan: RunPlan, *, registry: Registry | None = None) -> None:
    """See that a registered data set that is made for another task serves the plan's, too.

    Only the images can say that, so the data set is opened; all else of a plan needs no data.

    Raises:
        DataError: it does not, or is not here.
    """
    registry = registry or default_registry()
    named = find_dataset(plan.source, registry)
    if named is None or is_for(cast(DatasetCard, named[0].card), plan.task):
        return
    source = open_source(
        plan.source,
        registry=registry,
        data=plan.config.data,
        channels=plan.in_channels,
        message=to_nobody,
    )
    task = registry.load(plan.task)(classes=source.classes, **plan.task_options)
    task.check_targets(source.splits)


def run_training(
    plan: RunPlan,
    *,
    output: Path | str | None = None,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
    profile_steps: int | None = None,
    registry: Registry | None = None,
    message: Callable[[str], None] | None = None,
    bar: Bar | None = None,
) -> TrainResult:
    """Train as planned, or go on with a run exactly as if it had never stopped.

    Args:
        bar: shows how far the proposals are, where they are made first.

    Raises:
        DataError: the data cannot be used, or are not those of the run.
        CheckpointError: no checkpoint of the run verifies.
    """
    job = Job(
        plan,
        registry or default_registry(),
        callbacks=callbacks,
        message=message,
        profile_steps=profile_steps,
        bar=bar,
    )
    if resume is not None:
        return job.resume(RunFolder.open(resume))
    return job.start(Path(output) if output is not None else None)


def on_machine(plan: RunPlan) -> RunPlan:
    """The plan with what this machine decides settled, so that a resume decides the same."""
    machine = plan.config.machine
    device = choose_device(machine.device)
    check_processes(machine.gpus, device)
    settled = {
        "device": str(device),
        "precision": choose_precision(machine.precision, device),
        "threads": machine.threads or max(1, torch.get_num_threads() // machine.gpus),
    }
    chosen = {key: value for key, value in settled.items() if value != getattr(machine, key)}
    layer = Layer(THIS_MACHINE, {"machine": chosen})
    return replace(plan, resolved=overlay(plan.resolved, layer))
