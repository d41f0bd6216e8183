"""Where the time of some steps went, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.wording import counted

PHASES = {
    "data": "waiting for the next batch, on CUDA with its copy",
    "copy": "to other devices, and channels-last",
    "transforms": "of the whole batch",
    "forward": "model and loss",
    "backward": "gradients, and their exchange",
    "optimizer": "clipping and update",
    "metrics": "of training",
    "synchronisation": "with other processes, and checks",
    "evaluation": "",
    "checkpoint": "",
    "other": "the loop itself, and callbacks",
}
"""The phases of training, in their order, and what is in each."""

_ADVICE = {
    ("data",): "waiting for data: more --workers or `zoo data pack` help",
    ("copy", "transforms"): "the way of a batch to the model: fewer transforms help",
    ("forward", "backward"): "the model: a lower --precision, --compile or a smaller --image-size"
    " help",
    ("optimizer",): "the update: a larger --batch-size needs fewer of them",
    ("metrics", "synchronisation", "other"): "beside the work: a larger --batch-size has fewer,"
    " longer steps",
    ("evaluation",): "evaluation: a larger training.eval_every has fewer of them",
    ("checkpoint",): "checkpoints: a larger --save-every has fewer of them",
}
"""What these phases together are, and what helps where they take the most."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of some steps went.

    Attributes:
        steps: that were measured, after those of the warm-up.
        ms_per_step: by phase; they add up to the time of a step by the clock.
        trace: of the steps after them, for Perfetto or Chrome; None where the run was too short.
    """

    steps: int
    ms_per_step: Mapping[str, float]
    trace: Path | None = None

    @property
    def step_ms(self) -> float:
        """A step's time by the clock."""
        return sum(self.ms_per_step.values())

    def lines(self) -> list[str]:
        """A table, and what to make of it."""
        whole = self.step_ms
        rows = [
            f"  {phase:<16}{ms:9.2f}{100 * ms / whole:6.0f} %  {PHASES[phase]}".rstrip()
            for phase, ms in self.ms_per_step.items()
        ]
        trace = [f"trace of the steps after them: {self.trace}"] if self.trace else []
        return [
            f"where the time of {counted(self.steps, 'step')} went",
            f"  {'phase':<16}{'ms/step':>9}{'share':>8}",
            *rows,
            f"  {'step':<16}{whole:9.2f}{100:6.0f} %",
            self._advice(),
            *trace,
        ]

    def _advice(self) -> str:
        times = {
            phases: sum(self.ms_per_step.get(phase, 0.0) for phase in phases) for phases in _ADVICE
        }
        phases = max(times, key=times.__getitem__)
        return f"{100 * times[phases] / self.step_ms:.0f} % is {_ADVICE[phases]}"
