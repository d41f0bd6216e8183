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
    metafunc.parametrize("case", [_value(case, test) for case in contract.contract_cases()])


def _value(case: Any, test: str) -> Any:
    reason = case.excuse(test)
    marks = [pytest.mark.skip(reason=f"not applicable: {reason}")] if reason else []
    return pytest.param(case, id=case.name, marks=marks)
