"""Each test of the contract of plugins catches the distribution that breaks it, no other does."""

import importlib
import re
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from zoo.plugins import load_plugins
from zoo.registry import Registry
from zoo_testkit import PluginContract
from zoo_testkit._running import run_contract

REQUIREMENT = "Requires-Dist: zoo-core<1,>=0.1"
LICENCE = "License-Expression: CC0-1.0"
HEAD = "from zoo import ModelCard, hookimpl"
CARD = """
ModelCard(
    name="planted", task="classification", summary="planted", num_params=1, gmacs=1.0,
    factory="planted_models:{factory}", options={options},
)
"""
HOOK = """
@hookimpl
def zoo_models():
    return [{card}]
"""


RECIPE = """
from zoo import RecipeCard

@hookimpl
def zoo_recipes():
    card = RecipeCard(
        name="planted", task="classification", summary="", factory="planted_heavy_recipes:heavy"
    )
    return [card]
"""


def hook(factory: str = "honest", **options: int) -> str:
    return HOOK.format(card=CARD.format(factory=factory, options=options))


@pytest.fixture
def failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    """Install a distribution with one plugin, and check it: the tests that failed."""
    module = re.sub(r"\W", "_", tmp_path.name)  # no two tests share a module

    def check(code: str, *metadata: str) -> set[str]:
        tmp_path.joinpath(f"{module}.py").write_text(f"{HEAD}\n{code}\n")
        info = tmp_path / "zoo_planted-0.1.dist-info"
        info.mkdir()
        lines = ["Name: zoo-planted", "Version: 0.1", *metadata]
        info.joinpath("METADATA").write_text("\n".join(lines) + "\n")
        info.joinpath("entry_points.txt").write_text(f"[zoo.plugins]\nplanted = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        (distribution,) = distributions(path=[str(tmp_path)])
        registry = Registry(load_plugins(found=distribution.entry_points))
        attributes = {"plugin": "planted", "registry": registry}
        results = list(run_contract(type("Planted", (PluginContract,), attributes)))
        return {result.test for result in results if result.outcome == "failed"}

    return check


def test_an_honest_plugin_keeps_the_contract(failures: Callable) -> None:
    assert failures(hook(), REQUIREMENT, LICENCE) == set()


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def zoo_models(): return []", "it_loads"),
        ("@hookimpl\ndef zoo_modles(): return []", "it_loads"),
        ("raise RuntimeError('planted')", "it_loads"),
        (f"import numpy\n{hook()}", "listing_it_loads_no_torch"),
        (RECIPE, "listing_it_loads_no_torch"),
        (f"print('hello')\n{hook()}", "listing_it_prints_nothing"),
        (f"import sys; print('hello', file=sys.stderr)\n{hook()}", "listing_it_prints_nothing"),
        (f"import os; os.chdir('/')\n{hook()}", "loading_it_leaves_the_process_as_it_was"),
        (hook("absent"), "factories_can_be_imported"),
        (hook("honest", depth=3), "factories_can_be_imported"),
    ],
)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    code: str, test: str, failures: Callable
) -> None:
    assert failures(code, REQUIREMENT, LICENCE) == {test}


@pytest.mark.parametrize(
    "requirement", ["Requires-Dist: torch", "Requires-Dist: zoo-core", "Requires-Dist: zoo-corex<2"]
)
def test_a_distribution_that_fits_every_core_is_caught(
    requirement: str, failures: Callable
) -> None:
    failed = failures(hook(), requirement, LICENCE)

    assert failed == {"distribution_says_which_core_it_needs"}


def test_a_distribution_without_a_licence_is_caught(failures: Callable) -> None:
    assert failures(hook(), REQUIREMENT) == {"distribution_states_its_licence"}


def test_a_distribution_that_is_not_published_needs_no_licence_yet(failures: Callable) -> None:
    private = "Classifier: Private :: Do Not Upload"

    assert failures(hook(), REQUIREMENT, private) == set()
