"""Which parameters decay, which learn at rates of their own, and names that do not exist."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from zoo.config import Layer, RunConfig, resolve
from zoo.errors import ConfigError, UnknownNameError
from zoo.training import build_optimizer, optimizer_defaults
from zoo.training._optimizers import OPTIMIZERS, learning_rate, weight_decay


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.stem2 = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, 2)


def config(**optimizer: Any) -> RunConfig:
    return resolve([Layer("t", {"model": {"name": "m"}, "optimizer": optimizer})]).config


def decay_and_rate(model: nn.Module, settings: RunConfig) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group["weight_decay"], group["rate_factor"])
        for group in build_optimizer(model, settings).param_groups
        for parameter in group["params"]
    }


def test_norms_and_biases_do_not_decay_unless_asked() -> None:
    found = decay_and_rate(Net(), config(weight_decay=0.1))
    no_norms = decay_and_rate(Net(), config(weight_decay=0.1, undecayed="norms"))
    everything = decay_and_rate(Net(), config(weight_decay=0.1, undecayed="nothing"))

    assert {name for name, (decay, _) in found.items() if decay} == {
        "stem.weight",
        "stem2.weight",
        "fc.weight",
    }
    assert {name for name, (decay, _) in no_norms.items() if not decay} == {
        "norm.weight",
        "norm.bias",
    }
    assert {decay for decay, _ in everything.values()} == {0.1}


def test_a_rate_belongs_to_whole_names_and_the_longest_prefix_counts() -> None:
    found = decay_and_rate(Net(), config(layer_rates={"stem": 0.1, "stem.bias": 0.5}))

    rates = {name: rate for name, (_, rate) in found.items()}
    assert rates["stem.weight"] == 0.1
    assert rates["stem.bias"] == 0.5
    assert rates["stem2.weight"] == rates["fc.weight"] == 1.0


def test_frozen_parameters_are_left_out_and_all_frozen_is_an_error() -> None:
    model = Net()
    model.fc.requires_grad_(False)
    found = decay_and_rate(model, config())
    model.requires_grad_(False)

    assert "fc.weight" not in found
    with pytest.raises(ConfigError, match="frozen"):
        build_optimizer(model, config())


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lamb"])
def test_every_optimizer_builds_and_steps(name: str) -> None:
    pytest.importorskip("timm" if name == "lamb" else "torch")
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()

    optimizer = build_optimizer(model, config(name=name))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    model.weight.sum().backward()
    optimizer.step()

    assert not model.weight.equal(before)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "sdg"}, "Did you mean sgd"),
        ({"name": "adamw", "momentum": 0.9}, "momentum"),
        ({"layer_rates": {"stam": 0.1}}, "parts are stem, norm, stem2, fc"),
    ],
)
def test_a_mistake_in_the_optimizer_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        build_optimizer(Net(), config(**section))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_a_rate_and_a_decay_of_its_own(name):
    pytest.importorskip("timm" if name == "lamb" else "torch")
    silent = config(name=name)

    suited = optimizer_defaults(silent)

    assert suited.keys() == {"learning_rate", "weight_decay"}
    assert learning_rate(silent) == suited["learning_rate"]
    assert {decay for decay, _ in decay_and_rate(Net(), silent).values()} == {
        0.0,
        suited["weight_decay"],
    }


def test_what_the_config_says_is_no_default():
    said = config(name="adamw", learning_rate=0.02, weight_decay=0.0)

    assert optimizer_defaults(said) == {}
    assert (learning_rate(said), weight_decay(said)) == (0.02, 0.0)


def test_a_number_that_the_optimizer_refuses_is_a_fault_of_the_config():
    with pytest.raises(ConfigError, match="optimizer sgd: Invalid momentum value: -1"):
        build_optimizer(Net(), config(name="sgd", momentum=-1.0))
