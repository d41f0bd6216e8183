"""The contract classes for all that an installed plugin registers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from zoo_testkit._cards import CardContract
from zoo_testkit._contract import Contract
from zoo_testkit._datasets import DatasetContract
from zoo_testkit._detectors import DetectorContract
from zoo_testkit._metrics import MetricContract
from zoo_testkit._models import ModelContract
from zoo_testkit._plugins import PluginContract
from zoo_testkit._recipes import RecipeContract
from zoo_testkit._tasks import TaskContract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.cards import ModelCard
    from zoo.plugins import Plugin
    from zoo.registry import Registry

CONTRACTS: dict[str, type[Contract[Any]]] = {
    "task": TaskContract,
    "dataset": DatasetContract,
    "metric": MetricContract,
    "recipe": RecipeContract,
}
DETECTION = ("detection", "core:detection")
"""Core's task, as cards name it."""


def contracts_of(
    plugin: Plugin, registry: Registry, *, everything: bool = False
) -> Iterator[type[Contract[Any]]]:
    """A contract class for a plugin, and one for each thing that it registers.

    Of the models that share a factory, the one with the fewest parameters gets the whole
    contract and the others that of cards, unless everything is asked for.
    """
    yield _bound(PluginContract, plugin.name, registry)
    models = cast("Sequence[ModelCard]", plugin.cards.get("model", ()))
    whole = {card.name for card in models} if everything else _smallest_of_each_factory(models)
    for card in models:
        contract = _whole_contract(card) if card.name in whole else CardContract
        yield _bound(contract, f"{plugin.name}:{card.name}", registry)
    for kind, contract_of_kind in CONTRACTS.items():
        for other in plugin.cards.get(kind, ()):
            yield _bound(contract_of_kind, f"{plugin.name}:{other.name}", registry)


def _bound(contract: type[Contract[Any]], name: str, registry: Registry) -> type[Contract[Any]]:
    """The contract of one thing."""
    return type(contract.__name__, (contract,), {contract.kind: name, "registry": registry})


def _whole_contract(card: ModelCard) -> type[ModelContract]:
    """What a model of its task promises."""
    return DetectorContract if card.task in DETECTION else ModelContract


def _smallest_of_each_factory(models: Sequence[ModelCard]) -> set[str]:
    by_factory: dict[str, list[ModelCard]] = defaultdict(list)
    for card in models:
        by_factory[card.factory].append(card)
    return {min(cards, key=lambda card: card.num_params).name for cards in by_factory.values()}
