"""How the learning rate moves: pure functions of the position in the run.

A curve gives the factor of the base rate.  Having no state, it needs no restoring on resume;
"plateau" is the exception and listens to the monitored metric.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo.config import Count, Fraction, RunConfig, check_options
from zoo.errors import ConfigError, UnknownNameError
from zoo.training._optimizers import learning_rate


@dataclass(frozen=True, slots=True)
class Position:
    """Where a step lies in the run.

    Attributes:
        step: steps done before it.
        epochs: the same in epochs, a fraction.
        total_epochs: of the whole run.
    """

    step: int
    epochs: float
    total_epochs: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The factor by position, and whether the past depends on how long the run will be."""

    factor: Callable[[Position], float]
    depends_on_length: bool = True


def constant() -> Curve:
    """The same rate throughout."""
    return Curve(lambda _: 1.0, depends_on_length=False)


def step(
    *,
    milestones: tuple[float, ...],
    gamma: float = 0.1,
    unit: Literal["epochs", "steps"] = "epochs",
) -> Curve:
    """Times ``gamma`` at each milestone (He 2015: /10 at 32k and 48k steps)."""

    def factor(at: Position) -> float:
        passed = at.epochs if unit == "epochs" else at.step
        return gamma ** bisect_right(milestones, passed)

    return Curve(factor, depends_on_length=False)


def cosine(*, final: Fraction = 0.0, from_epoch: float = 0.0) -> Curve:
    """Half a cosine from 1 to ``final``, from ``from_epoch`` to the end (Loshchilov 2016)."""

    def factor(at: Position) -> float:
        length = max(at.total_epochs - from_epoch, 1e-9)
        done = min(max((at.epochs - from_epoch) / length, 0.0), 1.0)
        return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2

    return Curve(factor)


def one_cycle(*, peak_at: Fraction = 0.25, start: Fraction = 0.04, final: Fraction = 1e-4) -> Curve:
    """Cosine up from ``start`` to 1 at the fraction ``peak_at`` of the run, down to ``final``.

    Source: Smith and Topin 2017, arXiv:1708.07120, in its two-phase cosine form.
    """

    def factor(at: Position) -> float:
        done = min(at.epochs / at.total_epochs, 1.0)
        if done < peak_at:
            return start + (1 - start) * (1 - math.cos(math.pi * done / peak_at)) / 2
        fall = (done - peak_at) / (1 - peak_at)
        return final + (1 - final) * (1 + math.cos(math.pi * fall)) / 2

    return Curve(factor)


def poly(*, power: float = 0.9) -> Curve:
    """``(1 - done) ** power`` (Chen 2016, arXiv:1606.00915)."""
    return Curve(lambda at: (1 - min(at.epochs / at.total_epochs, 1.0)) ** power)


@dataclass
class Plateau:
    """Times ``factor`` when the monitored metric has not improved for ``patience`` evaluations."""

    factor: float = 0.1
    patience: int = 10
    min_factor: float = 0.0
    current: float = 1.0
    waited: int = 0

    def after_evaluation(self, *, improved: bool) -> None:
        """Hear whether the monitored metric has a new best value."""
        self.waited = 0 if improved else self.waited + 1
        if self.waited > self.patience:
            self.current = max(self.current * self.factor, self.min_factor)
            self.waited = 0


def plateau(*, factor: Fraction = 0.1, patience: Count = 10, min_factor: Fraction = 0.0) -> Plateau:
    """Fall when the monitored metric stalls."""
    return Plateau(factor=factor, patience=patience, min_factor=min_factor)


SCHEDULES: dict[str, Callable[..., Curve | Plateau]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "poly": poly,
    "plateau": plateau,
}


class Schedule:
    """The learning rate of each step: warm-up times curve.

    Args:
        config: sections ``schedule`` and ``optimizer``.
        steps_per_epoch, total_steps: of the whole run.
    """

    def __init__(self, config: RunConfig, *, steps_per_epoch: int, total_steps: int) -> None:
        self._config = config.schedule
        self._steps_per_epoch = steps_per_epoch
        self._total_epochs = total_steps / steps_per_epoch
        self._shape = build_curve(config)
        scale = config.training.batch_size / (
            config.optimizer.scale_to_batch or config.training.batch_size
        )
        self.base_rate = learning_rate(config) * scale

    def rate(self, step: int) -> float:
        """The learning rate of the step after ``step`` steps."""
        epochs = step / self._steps_per_epoch
        at = Position(
            step=step,
            epochs=math.floor(epochs) if self._config.each == "epoch" else epochs,
            total_epochs=self._total_epochs,
        )
        shape = self._shape
        factor = shape.current if isinstance(shape, Plateau) else shape.factor(at)
        return self.base_rate * self._warmup(at) * factor

    def _warmup(self, at: Position) -> float:
        length = self._config.warmup_epochs
        if at.epochs >= length:
            return 1.0
        start = self._config.warmup_from
        return start + (1 - start) * at.epochs / length

    def after_evaluation(self, *, improved: bool) -> None:
        """Hear whether the monitored metric has a new best value."""
        if isinstance(self._shape, Plateau):
            self._shape.after_evaluation(improved=improved)

    def state_dict(self) -> dict[str, Any]:
        """What a resume restores: nothing but a plateau's memory."""
        if isinstance(self._shape, Plateau):
            return {"current": self._shape.current, "waited": self._shape.waited}
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        if isinstance(self._shape, Plateau):
            self._shape.current = state["current"]
            self._shape.waited = state["waited"]


def build_curve(config: RunConfig, origins: Mapping[str, str] | None = None) -> Curve | Plateau:
    """The schedule that the config names, its options checked.

    Raises:
        UnknownNameError, ConfigError: no such schedule, or not such options.
    """
    section = config.schedule
    if section.name not in SCHEDULES:
        raise UnknownNameError(
            "schedule", section.name, SCHEDULES, f"Known: {', '.join(SCHEDULES)}."
        )
    function = SCHEDULES[section.name]
    options = check_options("schedule", function, section.options, origins=origins)
    milestones = options.get("milestones", ())
    if list(milestones) != sorted(milestones):
        raise ConfigError("schedule.milestones must rise", "Write them from first to last.")
    return function(**options)


def depends_on_length(config: RunConfig) -> bool:
    """Whether a run of another length would have had other rates from the start."""
    shape = build_curve(config)
    return isinstance(shape, Curve) and shape.depends_on_length
