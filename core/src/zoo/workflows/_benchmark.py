"""How fast a model trains, answers and is fed on this machine, and how fast others do the same.

Every variant runs the code that a run uses: the trainer's own step, the forward pass of an
evaluation, the loader of training.  All of them take turns in one run; so do products of matrices,
which say what the machine could do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import torch

from zoo.cards import ModelCard
from zoo.config import Layer
from zoo.cores import core_times
from zoo.data.datasets import Source
from zoo.data.sources import open_source
from zoo.devices import choose_precision, describe_device
from zoo.models import describe_structure
from zoo.registry import Registry, default_registry
from zoo.runs import describe_environment
from zoo.tasks import Task
from zoo.wording import to_nobody
from zoo.workflows._benchmark_loader import AS_IN_A_RUN, LOADER, TOGETHER, Reading
from zoo.workflows._benchmark_model import INFERENCE, ORIGIN, PLAIN, TRAINING, Bench, Variant
from zoo.workflows._benchmark_peak import PEAK, peak_candidates
from zoo.workflows._benchmark_peers import check_peers, peer_candidates
from zoo.workflows._benchmark_timing import Candidate, Timing, take_turns
from zoo.workflows._crowded import crowded_line
from zoo.workflows._plan import RunPlan, plan_run
from zoo.workflows._train import on_machine

PHASES = (TRAINING, INFERENCE, LOADER)
PASSES = {TRAINING: 3, INFERENCE: 1, TOGETHER: 3}
"""Forward passes that cost as much: the gradients of weights and of inputs are one each."""
FLOP_PER_MULTIPLY_ADD = 2


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of one candidate.

    Attributes:
        phase: "training", "inference", "loader" or "loader + training".
        variant: the options that are on, the number of loader processes, or the name of a peer.
        precision: None where nothing is computed.
        images_per_s: from the median of the rounds.
        ratio: to the first of the same phase: fp32 and nothing else, or a loader without processes.
        spread_fraction: slowest minus fastest round, relative to the median.
        flops_per_s: operations of convolutions and linear layers, from the model's multiply-adds.
        peak_fraction: of them, relative to a product of matrices in the same precision.
        peak_memory_bytes: of model, optimizer, batch and one step; see ``PeakMemory``.
        memory_ratio: to the first of the same phase.
    """

    phase: str
    variant: str
    precision: str | None
    images_per_s: float
    ratio: float
    spread_fraction: float
    flops_per_s: float | None
    peak_fraction: float | None
    peak_memory_bytes: int | None
    memory_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The speeds of all candidates, and what they were measured on.

    Attributes:
        num_classes: that the task has names for; 0 where it has none.
        gmacs: multiply-adds of convolutions and linear layers for one image, in 10^9.
        data: name of the data that the images are of.
        peaks: FLOP/s of a product of matrices in its fastest round, by precision.
        binds: "loader" or "training", whichever is slower alone and as in a run; None where they
            were not both measured.
        load_average: of the machine over the minute before; None where the system does not say.
        environment: hardware and versions.
    """

    model: str
    device: str
    data: str
    batch_size: int
    image_size_px: int
    num_classes: int
    num_params: int
    gmacs: float
    rounds: int
    speeds: Sequence[Speed]
    peaks: Mapping[str, float]
    binds: str | None
    load_average: float | None
    environment: Mapping[str, Any]


def benchmark(  # noqa: PLR0913 - the options of the verb
    model: str,
    *,
    batch_size: int | None = None,
    image_size: int | None = None,
    device: str = "auto",
    rounds: int = 7,
    phases: Sequence[str] = PHASES,
    compiled: bool = False,
    data: str | None = None,
    against: Sequence[str] = (),
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> BenchmarkResult:
    """Measure a model with its own recipe.

    Args:
        batch_size: images of a step; default: what a run without options takes.
        image_size: height and width in px; default: the card's.
        phases: of "training", "inference" and "loader"; with training, the loader is also measured
            together with it.
        compiled: also measure compiled variants, each of which compiles first.
        data: a registered name or a path; default: the task's embedded data set.
        against: peers that do the same work: "torchvision", "timm", "lightning".
        progress: called with what is done and what there is in all.

    Raises:
        UsageError: no such model, device or peer, or the model cannot take such a batch.
        DataError: the data cannot be used.
    """
    registry, message = registry or default_registry(), message or to_nobody
    check_peers(against, registry.get("model", model), registry)
    asked = {"batch_size": batch_size, "image_size": image_size, "device": device, "data": data}
    plan = _plan(model, asked, registry)
    cores_before = core_times()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    torch.set_num_threads(plan.config.machine.threads or torch.get_num_threads())
    source, task = _open_data(plan, registry, message)
    bench = Bench(plan, source, task, registry=registry, message=message)
    environment = describe_environment(
        plugins={plan.model.distribution: plan.model.version},
        threads=torch.get_num_threads(),
        cuda=torch.version.cuda,
    )
    with bench.explained(PLAIN):
        plain = bench.build(PLAIN, torch.device("cpu"))
        total = describe_structure(plain, plan.input, task=task.name)[-1]
    usual = Variant(choose_precision("auto", bench.device), channels_last=True)
    if line := crowded_line(cores_before, bench.device):
        message(line)
    with closing(Reading(plan, source, task, bench.device)) as reading:
        candidates = [
            *_of_the_model(bench, phases, against, compiled=compiled, registry=registry),
            *_of_the_loader(bench, reading, phases, usual, cpus=environment["cpu"]["usable"]),
        ]
        precisions = dict.fromkeys(c.precision for c in candidates if c.precision)
        candidates = [*peak_candidates(bench.device, precisions), *candidates]
        timings = take_turns(
            candidates, rounds=rounds, device=bench.device, progress=progress or to_nobody
        )
    speeds, peaks = _speeds(candidates, timings, flop_per_pass=total.gmacs * 1e9)
    return BenchmarkResult(
        model=plan.model.full_name,
        device=describe_device(bench.device),
        data=source.name,
        batch_size=len(bench.batch),
        image_size_px=plan.input.size_px,
        num_classes=len(task.classes),
        num_params=total.num_params,
        gmacs=total.gmacs,
        rounds=rounds,
        speeds=speeds,
        peaks=peaks,
        binds=_slower(speeds, usual),
        load_average=load,
        environment=environment,
    )


def _open_data(
    plan: RunPlan, registry: Registry, message: Callable[[str], None]
) -> tuple[Source, Task]:
    """The data, and the task with their classes."""
    source = open_source(
        plan.source,
        registry=registry,
        data=plan.config.data,
        channels=plan.in_channels,
        message=message,
    )
    task: Task = registry.load(plan.task)(classes=source.classes, **plan.task_options)
    task.check_targets(source.splits)
    task.check_data(source.splits)
    return source, task


def _of_the_model(
    bench: Bench,
    phases: Sequence[str],
    against: Sequence[str],
    *,
    compiled: bool,
    registry: Registry,
) -> list[Candidate]:
    """The model alone, its peers beside it."""
    computing = [phase for phase in phases if phase in PASSES]
    if computing:
        # What loads on first use is nobody's memory.
        bench.start(computing[0], PLAIN)(1)
        for peer in peer_candidates(against, bench, phase=computing[0], registry=registry):
            peer.start()(1)
    return [
        candidate
        for phase in computing
        for candidate in (
            *bench.candidates(phase, compiled=compiled),
            *peer_candidates(against, bench, phase=phase, registry=registry),
        )
    ]


def _of_the_loader(
    bench: Bench, reading: Reading, phases: Sequence[str], usual: Variant, *, cpus: int
) -> list[Candidate]:
    """Reading alone, and together with training where both are asked for."""
    if LOADER not in phases:
        return []
    alone = reading.candidates(cpus=cpus)
    if TRAINING not in phases:
        return alone
    return [*alone, reading.with_training(bench, usual, cpus=cpus)]


def _plan(model: str, asked: Mapping[str, Any], registry: Registry) -> RunPlan:
    card = cast(ModelCard, registry.get("model", model).card)
    values: dict[str, dict[str, Any]] = {
        "model": {"name": model},
        "data": {"image_size": asked["image_size"] or card.input.size_px},
        "machine": {"device": asked["device"]},
        # So little that the same batch, again and again, leads nowhere; the time is the same.
        "optimizer": {"learning_rate": 1e-6},
    }
    if asked["data"] is not None:
        values["data"]["source"] = asked["data"]
    if asked["batch_size"] is not None:
        values["training"] = {"batch_size": asked["batch_size"]}
    return on_machine(plan_run([Layer(ORIGIN, values)], registry))


def _speeds(
    candidates: Sequence[Candidate], timings: Sequence[Timing], *, flop_per_pass: float
) -> tuple[list[Speed], dict[str, float]]:
    """The candidates' speeds, and the FLOP/s of the products of matrices by precision."""
    rates = [c.amount / t.median_s for c, t in zip(candidates, timings, strict=True)]
    pairs = zip(candidates, timings, strict=True)
    peaks = {c.name: c.amount / t.fastest_s for c, t in pairs if c.phase == PEAK}
    firsts: dict[str, tuple[float, int | None]] = {}
    speeds = []
    for candidate, timing, rate in zip(candidates, timings, rates, strict=True):
        if candidate.phase == PEAK:
            continue
        used = None if candidate.phase in (LOADER, TOGETHER) else timing.peak_memory_bytes
        first_rate, first_used = firsts.setdefault(candidate.phase, (rate, used))
        flops = None
        if candidate.phase in PASSES:
            passes = PASSES[candidate.phase]
            flops = passes * FLOP_PER_MULTIPLY_ADD * flop_per_pass * rate
        speeds.append(
            Speed(
                phase=candidate.phase,
                variant=candidate.name,
                precision=candidate.precision,
                images_per_s=rate,
                ratio=rate / first_rate,
                spread_fraction=timing.spread_fraction,
                flops_per_s=flops,
                peak_fraction=flops / peaks[candidate.precision or ""] if flops else None,
                peak_memory_bytes=used,
                memory_ratio=used / first_used if used is not None and first_used else None,
            )
        )
    return speeds, peaks


def _slower(speeds: Sequence[Speed], usual: Variant) -> str | None:
    """Which of reading and training alone, each as in a run, is the slower."""
    rates = {(speed.phase, speed.variant): speed.images_per_s for speed in speeds}
    reading, training = rates.get((LOADER, AS_IN_A_RUN)), rates.get((TRAINING, usual.name))
    if reading is None or training is None:
        return None
    return LOADER if reading < training else TRAINING
