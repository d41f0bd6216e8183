"""What a verb loads for good is nothing that Python looks for garbage in."""

import gc
import sys

import pytest

from zoo.cli._imports import lasting_imports


def test_garbage_is_collected_again_after_the_imports_but_not_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    frozen = gc.get_freeze_count()

    with lasting_imports():
        during = gc.isenabled()

    kept = gc.get_freeze_count()
    gc.unfreeze()
    assert not during
    assert gc.isenabled()
    assert kept > frozen


def test_nothing_changes_where_torch_is_loaded_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    frozen = gc.get_freeze_count()

    with lasting_imports():
        during = gc.isenabled()

    assert during
    assert gc.get_freeze_count() == frozen
