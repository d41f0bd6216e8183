"""The pytest plugin: runs each contract test on every thing that its class names.

Inert otherwise: it imports neither torch nor zoo, which pytest would pay for in every run.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``case``, the argument of every contract test, a value for each thing named."""
    contract = metafunc.cls
    if not hasattr(contract, "contract_cases") or "case" not in metafunc.fixturenames:
        return
    test = metafunc.function.__name__
    values = [_value(case, test) for case in contract.contract_cases()]
    metafunc.parametrize("case", values, scope="class")  # all tests of a case, then the next


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Free what a case holds when its last test is over."""
    case = _case_of(item)
    if case is not None and case is not _case_of(nextitem):
        case.forget()


def _value(case: Any, test: str) -> Any:
    reason = case.excuse(test)
    marks = [pytest.mark.skip(reason=f"not applicable: {reason}")] if reason else []
    return pytest.param(case, id=case.name, marks=marks)


def _case_of(item: pytest.Item | None) -> Any:
    """The case of a contract test, None for any other."""
    if not hasattr(getattr(item, "cls", None), "contract_cases"):
        return None
    return getattr(item, "callspec").params.get("case")  # noqa: B009 - only parametrised items have it
