"""The kit itself: names and patterns, what does not apply, and what pytest pays for it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from zoo.errors import UnknownNameError, UsageError
from zoo_testkit import DatasetContract, ModelContract, PluginContract, RecipeContract
from zoo_testkit._contract import Case
from zoo_testkit._running import run_contract

PLANTED = Path(__file__).parent / "planted"


def test_a_class_that_names_nothing_is_told_so() -> None:
    class Nameless(ModelContract):
        pass

    with pytest.raises(UsageError, match="Nameless names no model"):
        Nameless.contract_cases()


def test_a_misspelt_name_has_a_suggestion() -> None:
    class Misspelt(DatasetContract):
        dataset = "digts"

    with pytest.raises(UnknownNameError, match="Did you mean digits"):
        Misspelt.contract_cases()


def test_a_pattern_names_all_that_match() -> None:
    class Some(DatasetContract):
        dataset = "core:cifar*"

    assert {case.name for case in Some.contract_cases()} == {"core:cifar10", "core:cifar100"}


def test_plugins_are_named_by_patterns_and_lists_as_well() -> None:
    class Some(PluginContract):
        plugin = "core re*"

    assert [case.name for case in Some.contract_cases()] == ["core", "resnet"]


def test_code_that_ends_the_program_fails_its_test_alone() -> None:
    class Ending(PluginContract):
        plugin = "core"

        def test_it_loads(self, case: Case) -> None:
            raise SystemExit(3)

    results = {result.test: result for result in run_contract(Ending)}

    assert (results["it_loads"].outcome, results["it_loads"].reason) == ("failed", "SystemExit: 3")
    assert results["factories_can_be_imported"].outcome == "passed"


def test_a_pattern_that_nothing_matches_is_told_so() -> None:
    class Nothing(RecipeContract):
        recipe = "nobodys:*"

    with pytest.raises(UsageError, match=r"no recipe matches 'nobodys:\*'"):
        Nothing.contract_cases()


def test_what_a_class_rules_out_is_not_run() -> None:
    class Digits(DatasetContract):
        dataset = "digits"
        not_applicable: ClassVar = {"test_splits_are_there": "for a test"}

    results = {result.test: result for result in run_contract(Digits)}

    assert results["splits_are_there"].outcome == "not applicable"
    assert results["splits_are_there"].reason == "for a test"
    assert results["targets_are_in_range"].outcome == "passed"


def test_a_test_that_is_ruled_out_and_not_there_is_told() -> None:
    class Typo(DatasetContract):
        dataset = "digits"
        not_applicable: ClassVar = {"test_splits_are_their": "for a test"}

    with pytest.raises(UsageError, match="Did you mean test_splits_are_there"):
        Typo.contract_cases()


def test_a_tag_of_the_card_rules_out_its_test(model_card: Callable, failures: Callable) -> None:
    card = model_card("branches_on_values", tags=("no-export",))

    assert failures(ModelContract, card) == {}


def test_pytest_loads_neither_torch_nor_zoo_for_the_kit(tmp_path: Path) -> None:
    script = (
        "import sys, pytest; assert pytest.main(['--quiet']) == 5; "  # no tests are there
        "loaded = [m for m in sys.modules if m.partition('.')[0] in {'torch', 'zoo', 'numpy'}]; "
        "print(loaded, 'zoo_testkit.pytest_plugin' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )

    assert done.stdout.strip().splitlines()[-1] == "[] True", done.stderr


PLUGIN = """
from planted_cards import card
from zoo import hookimpl

@hookimpl
def zoo_recipes():
    return [card("honest"), card("shared")]
"""
CARDS = """
from zoo import RecipeCard

def card(factory):
    return RecipeCard(
        name=factory, task="classification", summary="planted", source="nobody",
        factory=f"planted_recipes:{factory}",
    )
"""


def kit(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the module with a distribution on the path."""
    info = site / "zoo_planted-0.1.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        "Name: zoo-planted\nVersion: 0.1\nLicense: CC0\nRequires-Dist: zoo-core<1\n"
    )
    info.joinpath("entry_points.txt").write_text("[zoo.plugins]\nplanted = planted_hooks\n")
    site.joinpath("planted_hooks.py").write_text(PLUGIN)
    site.joinpath("planted_cards.py").write_text(CARDS)
    return subprocess.run(
        [sys.executable, "-m", "zoo_testkit", *arguments],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PLANTED}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_checking_a_plugin_prints_one_document(tmp_path: Path) -> None:
    done = kit(tmp_path, "planted")

    results = json.loads(done.stdout)
    (failed,) = (result for result in results if result["outcome"] == "failed")
    assert done.returncode == 1
    assert failed == {
        "kind": "recipe",
        "name": "planted:shared",
        "test": "it_is_made_anew_each_time",
        "outcome": "failed",
        "reason": "a change to one result is in the next",
    }
    assert {result["kind"] for result in results} == {"plugin", "recipe"}


def test_a_plugin_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = kit(tmp_path, "plantde")

    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown plugin 'plantde'" in done.stderr
    assert "Did you mean planted?" in done.stderr
