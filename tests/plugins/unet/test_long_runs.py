"""Without data of one's own, the large network says how long it takes and names the small one."""

from pathlib import Path
from typing import Any

import pytest

from zoo.config import Layer
from zoo.registry import default_registry
from zoo.workflows import _duration, plan_training, run_training
from zoo.workflows._duration import long_run_line

REGISTRY = default_registry()


def plan(model: str, **training: Any) -> Any:
    layer = Layer("test", {"model": {"name": model}, "training": training})
    return plan_training([layer], registry=REGISTRY)


def test_a_long_run_names_the_small_network() -> None:
    line = long_run_line(plan("unet", epochs=6), image_s=0.1, images=1500, registry=REGISTRY)

    assert line == (
        "unet will take about 45 m 00 s on this machine;"
        " unet_small, with 6 % of the parameters, takes less"
    )


def test_the_small_network_names_no_other() -> None:
    line = long_run_line(plan("unet_small", epochs=6), image_s=0.1, images=1500, registry=REGISTRY)

    assert line == "unet_small will take about 45 m 00 s on this machine"


@pytest.mark.parametrize(
    ("training", "image_s"),
    [({"epochs": 6}, 0.01), ({"max_steps": 10}, 0.1), ({"time_limit_s": 60.0}, 0.1)],
)
def test_a_run_that_ends_soon_says_nothing(training: dict[str, Any], image_s: float) -> None:
    line = long_run_line(plan("unet", **training), image_s=image_s, images=1500, registry=REGISTRY)

    assert line is None


def test_it_is_said_before_training_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_duration, "LONG_S", 0.0)
    said: list[str] = []
    layer = Layer(
        "test",
        {
            "model": {"name": "unet", "width": 1},
            "training": {"max_steps": 1, "batch_size": 2},
            "data": {"workers": 0},
        },
    )

    run_training(
        plan_training([layer], registry=REGISTRY), output=tmp_path / "run", message=said.append
    )

    assert any("will take about" in line and "unet_small" in line for line in said)
