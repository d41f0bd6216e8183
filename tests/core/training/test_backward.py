"""The backward pass from weighted sums is torch's own, and needs nothing private of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import graph

from zoo.errors import PluginCodeError
from zoo.training._backward import backward


def _sums(leaf: Tensor) -> list[Tensor]:
    return [leaf.sin().sum(), (leaf * leaf).sum()]


WEIGHTS = [torch.tensor(1 / 3), torch.tensor(0.7)]


def _gradient_by_torch() -> Tensor:
    leaf = torch.linspace(-1, 2, 50, requires_grad=True)
    torch.autograd.backward(_sums(leaf), WEIGHTS)
    torch.autograd.backward(_sums(leaf), WEIGHTS)
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("missing", ["nothing", "_engine_run_backward"])
def test_gradients_are_torchs_to_the_bit_and_add_up(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(graph, missing, raising=False)
    leaf = torch.linspace(-1, 2, 50, requires_grad=True)

    backward(_sums(leaf), WEIGHTS)
    backward(_sums(leaf), WEIGHTS)

    assert leaf.grad is not None
    assert torch.equal(leaf.grad, _gradient_by_torch())


def test_this_torch_has_the_engine() -> None:
    assert hasattr(graph, "_engine_run_backward")


def test_the_loss_of_a_frozen_part_is_passed_over() -> None:
    leaf = torch.linspace(-1, 2, 50, requires_grad=True)
    frozen = torch.tensor(5.0)

    backward([*_sums(leaf), frozen] * 2, [*WEIGHTS, torch.tensor(1.0)] * 2)

    assert leaf.grad is not None
    assert torch.allclose(leaf.grad, _gradient_by_torch())


def test_losses_without_any_gradient_are_the_models_fault() -> None:
    with pytest.raises(PluginCodeError, match="do not depend on weights that learn"):
        backward([torch.tensor(5.0)], [torch.tensor(1.0)])
