"""Run the contracts on all that an installed plugin registers, without pytest's machinery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from zoo.errors import UnknownNameError, ZooError
from zoo.plugins import in_a_line
from zoo_testkit._cards import CardContract
from zoo_testkit._contract import TEST, Case, Contract
from zoo_testkit._datasets import DatasetContract
from zoo_testkit._metrics import MetricContract
from zoo_testkit._models import ModelContract
from zoo_testkit._plugins import PluginContract
from zoo_testkit._recipes import RecipeContract
from zoo_testkit._tasks import TaskContract

if TYPE_CHECKING:
    from zoo.cards import ModelCard
    from zoo.plugins import Plugin
    from zoo.registry import Registry

CONTRACTS: dict[str, type[Contract[Any]]] = {
    "dataset": DatasetContract,
    "metric": MetricContract,
    "plugin": PluginContract,
    "recipe": RecipeContract,
    "task": TaskContract,
}


@dataclass(frozen=True)
class Result:
    """What became of one test.

    Attributes:
        kind, name: of what was tested.
        test: without its ``test_``.
        reason: why it failed or does not apply, in a line.
    """

    kind: str
    name: str
    test: str
    outcome: Literal["passed", "failed", "not applicable"]
    reason: str = ""


def contracts_of(
    plugin: str, registry: Registry, *, everything: bool = False
) -> list[type[Contract[Any]]]:
    """Contract classes for a plugin and all that it registers.

    Of the models that share a factory, the one with the fewest parameters gets the whole
    contract and the others that of cards, unless everything is asked for.

    Raises:
        UnknownNameError: no installed plugin has the name.
    """
    found = _find(plugin, registry)
    things = [("plugin", found.name, PluginContract)]
    for kind, cards in found.cards.items():
        for card in cards:
            contract = _model_contract(card, found, everything) if kind == "model" else CONTRACTS.get(kind)
            if contract is not None:
                things.append((kind, f"{found.name}:{card.name}", contract))
    return [
        cast("type[Contract[Any]]", type(contract.__name__, (contract,), {kind: name, "registry": registry}))
        for kind, name, contract in things
    ]
