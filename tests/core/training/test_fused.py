"""The fused kernels against torch.optim, bit for bit; and what serves where they are missing."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from zoo.config import Layer, resolve
from zoo.training import build_optimizer
from zoo.training._fused import FusedOptimizer

STEPS = 5


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def train(network: nn.Module, optimizer: Any, *, steps: int = STEPS, rate: float = 0.05) -> None:
    images = torch.randn(steps, 4, 7, generator=torch.Generator().manual_seed(1))
    for batch in images:
        for group in optimizer.param_groups:
            group["lr"] = rate
        network(batch).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def ours(network: nn.Module, **section: Any) -> Any:
    layers = [Layer("test", {"model": {"name": "m"}, "optimizer": section})]
    return build_optimizer(network, resolve(layers).config)


def assert_equal(left: nn.Module, right: nn.Module) -> None:
    torch.testing.assert_close(left.state_dict(), right.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("section", "theirs"),
    [
        ({"name": "sgd", "momentum": 0.0}, {"momentum": 0.0}),
        ({"name": "sgd"}, {"momentum": 0.9}),
        ({"name": "sgd", "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
        ({"name": "sgd", "dampening": 0.5}, {"momentum": 0.9, "dampening": 0.5}),
        ({"name": "adam"}, {}),
        ({"name": "adamw", "betas": [0.8, 0.95], "eps": 1e-6}, {"betas": (0.8, 0.95), "eps": 1e-6}),
    ],
)
def test_the_kernels_compute_what_torch_optim_does(
    section: dict[str, Any], theirs: dict[str, Any]
) -> None:
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    direct, reference = model(), model()
    optimizer = ours(direct, weight_decay=0.1, undecayed="nothing", **section)
    torchs = kinds[section["name"]](reference.parameters(), weight_decay=0.1, fused=True, **theirs)

    train(direct, optimizer)
    train(reference, torchs)

    assert isinstance(optimizer, FusedOptimizer)
    assert_equal(direct, reference)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_without_the_kernels_torch_optim_serves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    direct, fallen_back = model(), model()
    train(direct, ours(direct, name=name))
    monkeypatch.delattr(torch, "_fused_sgd_")

    optimizer = ours(fallen_back, name=name)
    train(fallen_back, optimizer)

    assert isinstance(optimizer, torch.optim.Optimizer)
    torch.testing.assert_close(fallen_back.state_dict(), direct.state_dict(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_gated_step_changes_nothing_and_the_next_one_is_as_if_it_had_not_been(name: str) -> None:
    gated, free = model(), model()
    optimizer, other = ours(gated, name=name), ours(free, name=name)
    before = copy.deepcopy(gated.state_dict())
    optimizer.found_inf = torch.ones(())
    for parameter in gated.parameters():
        parameter.grad = torch.ones_like(parameter)

    optimizer.step()

    torch.testing.assert_close(gated.state_dict(), before, rtol=0, atol=0)
    optimizer.found_inf = torch.zeros(())
    optimizer.zero_grad()
    train(gated, optimizer)
    train(free, other)
    assert_equal(gated, free)


def test_a_parameter_without_a_gradient_stays() -> None:
    network = model()
    optimizer = ours(network)
    network[0].weight.grad = torch.ones_like(network[0].weight)
    before = network[3].weight.detach().clone()

    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()

    assert network[3].weight.equal(before)
    assert network[3].weight not in optimizer.state


def test_training_does_not_load_the_compiler_stack() -> None:
    """In a process of its own: torch._dynamo takes seconds to import."""
    import subprocess
    import sys

    script = (
        "import sys, torch; from torch import nn; from zoo.training._fused import FusedSgd\n"
        "model = nn.Linear(2, 2)\n"
        "groups = [{'params': list(model.parameters()), 'weight_decay': 0.0, 'lr': 0.1}]\n"
        "optimizer = FusedSgd(groups, momentum=0.9, nesterov=False, dampening=0.0)\n"
        "model(torch.ones(1, 2)).sum().backward(); optimizer.step()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(("momentum", "told"), [(0.0, False), (0.9, True)])
def test_the_kernel_hears_of_its_first_step_only_with_momentum(
    monkeypatch: pytest.MonkeyPatch, momentum: float, told: bool
) -> None:
    """On CUDA it warns of the word where there is no momentum for it to mean something."""
    network = model()
    kernel = Mock()
    monkeypatch.setattr(torch, "_fused_sgd_", kernel)

    train(network, ours(network, name="sgd", momentum=momentum), steps=1)

    assert {call.kwargs["is_first_step"] for call in kernel.call_args_list} == {told}
