"""A library that is missing is named with its cure; one that is broken is not called missing."""

import sys

import pytest

from zoo.errors import UsageError
from zoo.extras import import_extra


def test_a_missing_library_is_named_with_what_needs_it_and_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "scipy.ndimage", raising=False)

    with pytest.raises(UsageError) as caught:
        import_extra("scipy.ndimage", library="SciPy", purpose="the score", install="zoo-core[x]")

    assert caught.value.cause == "the score needs SciPy, which is not installed"
    assert "pip install 'zoo-core[x]'" in str(caught.value)


def test_a_library_that_lacks_something_itself_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "brittle_library.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        import_extra("brittle_library", library="Brittle", purpose="x", install="brittle")
