"""Without data of one's own, the large network says how long it takes and names the small one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.config import Layer
from zoo.registry import default_registry
from zoo.structures import Batch
from zoo.tasks import ClassificationTask
from zoo.workflows import _duration, plan_training, run_training
from zoo.workflows._duration import long_run_line, time_image

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


class Watched(nn.Sequential):
    """A classifier that remembers whether it was learning."""

    learning: bool

    def forward(self, images: Tensor) -> Tensor:
        """(b, 1, 4, 4) -> (b, 16)."""
        self.learning = self.training and torch.is_grad_enabled()
        logits: Tensor = super().forward(images)
        return logits


def test_an_image_is_timed_as_in_training_and_leaves_no_trace() -> None:
    model = Watched(nn.BatchNorm2d(1), nn.Dropout(), nn.Flatten()).eval()
    task = ClassificationTask(classes=[str(label) for label in range(16)])
    numbers = torch.arange(2)
    batch = Batch(torch.randn(2, 1, 4, 4), torch.full((2, 2), 4), numbers, {"labels": numbers})
    buffers = [buffer.clone() for buffer in model.buffers()]
    random_state = torch.get_rng_state()

    with torch.no_grad():
        seconds = time_image(plan("unet_small"), task, model, batch)

    assert model.learning
    assert seconds > 0
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(map(torch.equal, model.buffers(), buffers))


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
