"""How fast a model trains and answers on this machine, with and without each speed option.

Every variant runs the code that a run uses: the trainer's own step, and the forward pass of an
evaluation.  The batch is made once and stays on the device, so that no reading is measured.  All
variants take turns, round by round, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from zoo.cards import ModelCard
from zoo.config import Layer
from zoo.devices import describe_device
from zoo.models import describe_structure
from zoo.registry import Registry, default_registry
from zoo.runs import describe_environment
from zoo.workflows._peak_memory import peak_memory
from zoo.workflows._plan import RunPlan, plan_run
from zoo.workflows._train import on_machine
from zoo.workflows._variants import ORIGIN, PLAIN, Bench, StepFunction, Variant, variants

Case = tuple[str, Variant]
"""A phase and a variant."""

PHASES = ("training", "inference")
_WARM_UP_STEPS = 2
_TURN_S = 0.3
"""How long a variant's turn in a round lasts at least, so that the clock's grain is nothing."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of one variant.

    Attributes:
        phase: "training" or "inference".
        images_per_s: from the median of the rounds.
        ratio: to the plain variant (fp32, nothing else) of the same phase.
        spread_fraction: slowest minus fastest round, relative to the median.
        peak_memory_bytes: of model, optimizer, batch and one step; see ``PeakMemory``.
        memory_ratio: to the plain variant of the same phase.
    """

    phase: str
    variant: str
    precision: str
    channels_last: bool
    compiled: bool
    images_per_s: float
    ratio: float
    spread_fraction: float
    peak_memory_bytes: int | None
    memory_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The speeds of all variants, and what they were measured on.

    Attributes:
        num_classes: that the task has names for; 0 where it has none.
        gmacs: multiply-adds of convolutions and linear layers for one image, in 10^9.
        load_average: of the machine over the minute before; None where the system does not say.
        environment: hardware and versions.
    """

    model: str
    device: str
    batch_size: int
    image_size_px: int
    num_classes: int
    num_params: int
    gmacs: float
    rounds: int
    speeds: Sequence[Speed]
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
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> BenchmarkResult:
    """Measure a model with its own recipe, on images of its task's embedded data set.

    Args:
        batch_size: images of a step; default: what a run without options takes.
        image_size: height and width in px; default: the card's.
        compiled: also measure compiled variants, each of which compiles first.
        progress: called with what is done and what there is in all.

    Raises:
        UsageError: no such model or device, or the model cannot take such a batch.
    """
    registry = registry or default_registry()
    plan = _plan(model, batch_size=batch_size, image_size=image_size, device=device, to=registry)
    bench = Bench(plan, registry, message or _to_nobody)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with bench.explained(PLAIN):
        total = describe_structure(bench.build(PLAIN, torch.device("cpu")), plan.input)[-1]
        bench.prepare(phases[0], PLAIN)()  # what loads on first use is nobody's memory
    chosen = variants(bench.device, compiled=compiled)
    cases = [(phase, variant) for phase in phases for variant in chosen]
    times_s, memory = _measure(bench, cases, rounds, progress or _to_nobody)
    return BenchmarkResult(
        model=plan.model.full_name,
        device=describe_device(bench.device),
        batch_size=len(bench.batch),
        image_size_px=plan.input.size_px,
        num_classes=len(bench.task.classes),
        num_params=total.num_params,
        gmacs=total.gmacs,
        rounds=rounds,
        speeds=[_speed(case, times_s, memory, len(bench.batch)) for case in cases],
        load_average=load,
        environment=describe_environment(
            plugins={plan.model.distribution: plan.model.version},
            threads=torch.get_num_threads(),
            cuda=torch.version.cuda,
        ),
    )


def _plan(
    model: str, *, batch_size: int | None, image_size: int | None, device: str, to: Registry
) -> RunPlan:
    card = cast(ModelCard, to.get("model", model).card)
    values: dict[str, dict[str, Any]] = {
        "model": {"name": model},
        "data": {"image_size": image_size or card.input.size_px},
        "machine": {"device": device},
        # So little that the same batch, again and again, leads nowhere; the time is the same.
        "optimizer": {"learning_rate": 1e-6},
    }
    if batch_size is not None:
        values["training"] = {"batch_size": batch_size}
    return on_machine(plan_run([Layer(ORIGIN, values)], to))


def _measure(
    bench: Bench,
    cases: Sequence[Case],
    rounds: int,
    progress: Callable[[int, int], None],
) -> tuple[dict[Case, list[float]], dict[Case, int | None]]:
    """Seconds of a step in each round, and the peak memory of each case."""
    total = len(cases) * (1 + rounds)
    steps: dict[Case, StepFunction] = {}
    memory: dict[Case, int | None] = {}
    for phase, variant in cases:
        with bench.explained(variant), peak_memory(bench.device) as peak:
            steps[phase, variant] = bench.prepare(phase, variant)
            _seconds(steps[phase, variant], _WARM_UP_STEPS, bench.device)
        memory[phase, variant] = peak.used_bytes
        progress(len(steps), total)
    repeats = {
        case: max(1, round(_TURN_S / _seconds(step, 1, bench.device)))
        for case, step in steps.items()
    }
    times_s: dict[Case, list[float]] = {case: [] for case in cases}
    for number in range(rounds):
        # Back and forth, so that nobody always follows the same neighbour.
        for place, case in enumerate(cases if number % 2 else reversed(cases), start=1):
            times_s[case].append(_seconds(steps[case], repeats[case], bench.device))
            progress(len(cases) * (1 + number) + place, total)
    return times_s, memory


def _seconds(step: StepFunction, repeats: int, device: torch.device) -> float:
    """Of one of ``repeats`` steps, the device's work included."""
    _wait_for(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait_for(device)
    return (time.perf_counter() - start) / repeats


def _speed(
    case: Case,
    times_s: Mapping[Case, Sequence[float]],
    memory: Mapping[Case, int | None],
    batch_size: int,
) -> Speed:
    phase, variant = case
    median_s, plain_s = (statistics.median(times_s[phase, v]) for v in (variant, PLAIN))
    used, plain_used = memory[case], memory[phase, PLAIN]
    return Speed(
        phase=phase,
        variant=variant.name,
        precision=variant.precision,
        channels_last=variant.channels_last,
        compiled=variant.compiled,
        images_per_s=batch_size / median_s,
        ratio=plain_s / median_s,
        spread_fraction=(max(times_s[case]) - min(times_s[case])) / median_s,
        peak_memory_bytes=used,
        memory_ratio=used / plain_used if used is not None and plain_used else None,
    )


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _to_nobody(*_: object) -> None:
    """Hears progress and messages where nobody wants to."""
