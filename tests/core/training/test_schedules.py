"""The learning rate as a function of the step."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.config import Layer, resolve
from zoo.errors import ConfigError, UnknownNameError
from zoo.training import Schedule, depends_on_length


def schedule(section: dict[str, Any], *, steps_per_epoch: int = 10, epochs: int = 10) -> Schedule:
    layers = [
        Layer(
            "test",
            {
                "model": {"name": "m"},
                "optimizer": {"learning_rate": 1.0},
                "schedule": section,
            },
        )
    ]
    return Schedule(
        resolve(layers).config,
        steps_per_epoch=steps_per_epoch,
        total_steps=steps_per_epoch * epochs,
    )


@pytest.mark.parametrize(
    ("section", "step", "rate"),
    [
        ({"name": "constant"}, 77, 1.0),
        ({"name": "step", "milestones": [3, 6]}, 29, 1.0),
        ({"name": "step", "milestones": [3, 6]}, 30, 0.1),
        ({"name": "step", "milestones": [3, 6], "gamma": 0.5}, 99, 0.25),
        ({"name": "step", "milestones": [32, 48], "unit": "steps"}, 32, 0.1),
        ({"name": "cosine"}, 0, 1.0),
        ({"name": "cosine"}, 50, 0.5),
        ({"name": "cosine", "final": 0.2}, 100, 0.2),
        ({"name": "cosine", "from_epoch": 5.0}, 50, 1.0),
        ({"name": "cosine", "from_epoch": 5.0}, 75, 0.5),
        ({"name": "one_cycle", "peak_at": 0.2, "start": 0.1}, 0, 0.1),
        ({"name": "one_cycle", "peak_at": 0.2, "start": 0.1}, 20, 1.0),
        ({"name": "one_cycle", "peak_at": 0.2, "final": 0.01}, 100, 0.01),
        ({"name": "poly", "power": 2.0}, 50, 0.25),
        ({"name": "constant", "warmup_epochs": 5.0}, 25, 0.5),
        ({"name": "constant", "warmup_epochs": 5.0, "warmup_from": 0.5}, 0, 0.5),
        ({"name": "constant", "warmup_epochs": 5.0, "each": "epoch"}, 29, 0.4),
        ({"name": "cosine", "each": "epoch"}, 59, 0.5),
    ],
)
def test_the_rate_at_a_step(section: dict[str, Any], step: int, rate: float) -> None:
    assert schedule(section).rate(step) == pytest.approx(rate)


def test_a_plateau_falls_after_its_patience_and_restores() -> None:
    plateau = schedule({"name": "plateau", "factor": 0.5, "patience": 1})
    again = schedule({"name": "plateau", "factor": 0.5, "patience": 1})

    plateau.after_evaluation(improved=True)
    plateau.after_evaluation(improved=False)
    still = plateau.rate(30)
    plateau.after_evaluation(improved=False)
    again.load_state_dict(plateau.state_dict())

    assert (still, plateau.rate(40), again.rate(40)) == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("constant", False), ("step", False), ("plateau", False), ("cosine", True), ("poly", True)],
)
def test_which_schedules_know_the_length_of_the_run(name: str, expected: bool) -> None:
    options = {"milestones": [1]} if name == "step" else {}
    layers = [Layer("t", {"model": {"name": "m"}, "schedule": {"name": name, **options}})]

    assert depends_on_length(resolve(layers).config) is expected


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "cosin"}, "Did you mean cosine"),
        ({"name": "cosine", "finale": 0.1}, "final"),
        ({"name": "step"}, "milestones"),
        ({"name": "step", "milestones": [6, 3]}, "rise"),
    ],
)
def test_a_mistake_in_the_schedule_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        schedule(section)
