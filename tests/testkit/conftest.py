"""Planted things that keep or break the contracts, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from zoo.cards import Card, InputSpec, ModelCard
from zoo.models import describe_structure
from zoo.plugins import KINDS, Plugin, load_plugins
from zoo.registry import Registry
from zoo_testkit._contract import Contract
from zoo_testkit._running import run_contract

PLANTED = Path(__file__).parent / "planted"
SPEC = InputSpec(size_px=32, resize_px=None)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factories are found as ``planted_models:honest``."""
    monkeypatch.syspath_prepend(PLANTED)


@pytest.fixture
def model_card(planted: None) -> Callable[..., ModelCard]:
    """A card of a planted model, whose numbers are true unless they are changed."""

    def make(factory: str, *, module: str = "planted_models", **changes: Any) -> ModelCard:
        model = getattr(import_module(module), factory)(num_classes=10)
        total = describe_structure(model, changes.get("input", SPEC))[-1]
        facts = {
            "name": factory.replace("_", "-"),
            "task": "classification",
            "summary": "planted",
            "factory": f"{module}:{factory}",
            "num_params": total.num_params,
            "gmacs": total.gmacs,
            "num_classes": 10,
            "input": SPEC,
        }
        return ModelCard(**{**facts, **changes})

    return make


def registry_of(cards: Sequence[Card], target: str) -> Registry:
    """Core's own cards and those of a plugin named ``planted``."""
    plugin = Plugin(
        name="planted",
        distribution="zoo-planted",
        version="0.1",
        target=target,
        cards={
            kind: tuple(card for card in cards if type(card) is card_class)
            for kind, (_, card_class) in KINDS.items()
        },
    )
    return Registry([*load_plugins(found=[]), plugin])


@pytest.fixture
def failures() -> Callable[..., dict[str, str]]:
    """Run a contract on the first of some cards: the tests that failed, each with the reason."""

    def run(
        contract: type[Contract[Any]],
        *cards: Card,
        target: str = "planted_plugin",
        **settings: Any,
    ) -> dict[str, str]:
        attributes = {
            contract.kind: f"planted:{cards[0].name}",
            "registry": registry_of(cards, target),
            **settings,
        }
        results = list(run_contract(type("Planted", (contract,), attributes)))
        assert len(results) > 2
        return {result.test: result.reason for result in results if result.outcome == "failed"}

    return run
