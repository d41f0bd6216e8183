"""Run contract tests without pytest's machinery: on planted faults, and on an installed plugin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from zoo.errors import ZooError
from zoo.plugins import in_a_line
from zoo_testkit._contract import TEST, Case, Contract

Outcome = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class Result:
    """What became of one test.

    Attributes:
        kind, name: of what was tested.
        test: its name without ``test_``.
        reason: why it failed or does not apply, in a line.
    """

    kind: str
    name: str
    test: str
    outcome: Outcome
    reason: str = ""


def run_contract(contract: type[Contract[Any]]) -> Iterator[Result]:
    """The results of all tests of a contract class, for each thing that it names."""
    for case in contract.contract_cases():
        for test in contract.contract_tests():
            outcome, reason = _run(contract, case, test)
            yield Result(contract.kind, case.name, test.removeprefix(TEST), outcome, reason)
        case.forget()


def _run(contract: type[Contract[Any]], case: Case, test: str) -> tuple[Outcome, str]:
    if excuse := case.excuse(test):
        return "not applicable", excuse
    try:
        getattr(contract(), test)(case)
    except pytest.skip.Exception as skipped:
        return "not applicable", str(skipped).removeprefix("not applicable: ")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a stranger's code may even end the program
        return "failed", _in_a_line(error)
    return "passed", ""


def _in_a_line(error: BaseException) -> str:
    if isinstance(error, ZooError):
        return " ".join(error.cause.split())
    if isinstance(error, AssertionError) and str(error):
        return " ".join(str(error).split())
    return in_a_line(error)
