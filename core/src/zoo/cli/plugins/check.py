"""``zoo plugins check``: the contract tests of the test kit, on an installed plugin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from zoo.cli._options import json_option
from zoo.cli._output import print_answer, print_json, print_table
from zoo.distributions import CheckResult, check_plugin
from zoo.registry import default_registry


@click.command()
@click.argument("name")
@click.option("--all", "thorough", is_flag=True, help="Test every card in full, which takes long.")
@json_option
def check(name: str, *, thorough: bool, json_: bool) -> int:
    """Test what the plugin NAME promises, with zoo-testkit; exits with 1 where a test failed."""
    results = check_plugin(name, installed=default_registry().plugins, thorough=thorough)
    counts = Counter(result.outcome for result in results)
    if json_:
        print_json(results)
        return bool(counts["failed"])
    print_table(
        ("kind", "name", "test", "outcome", "why"),
        [
            (result.kind, result.name, result.test.replace("_", " "), result.outcome, why)
            for result, why in zip(results, _told_once(results), strict=True)
        ],
    )
    print_answer("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return bool(counts["failed"] or not results)


def _told_once(results: Sequence[CheckResult]) -> list[str]:
    """The reasons; a failure that many tests run into is told at the first of them."""
    first: dict[str, CheckResult] = {}
    for result in results:
        first.setdefault(result.reason, result)
    return [
        result.reason
        if result.outcome != "failed" or first[result.reason] is result
        else "for the same reason"
        for result in results
    ]
