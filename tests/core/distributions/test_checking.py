"""The kit's answer as a table; without the kit, or a plugin that loads, a refusal."""

import json

import pytest

from zoo.cli._main import run
from zoo.registry import default_registry

RESULTS = [
    {"kind": "model", "name": "net", "test": "it_learns", "outcome": "passed", "reason": ""},
    {"kind": "model", "name": "net", "test": "it_exports", "outcome": "failed", "reason": "no way"},
]


@pytest.fixture
def zoo(site, monkeypatch, capsys):
    """The command line, with a plugin ``edge`` and one that fails."""
    site.install("edge", "@hookimpl\ndef zoo_models(): return []")
    site.install("faulty", "raise ValueError('odd')")
    monkeypatch.setenv("ZOO_PLUGINS", "edge,faulty")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    default_registry.cache_clear()

    def command(*words):
        capsys.readouterr()
        return run(["plugins", "check", *words]), *capsys.readouterr()

    yield command
    default_registry.cache_clear()


def answer(site, monkeypatch, text):
    """Put a kit in the place of the real one that says this."""
    site.folder.joinpath("kit_of_tests.py").write_text(f"print({text!r})")
    monkeypatch.setattr("zoo.distributions._checking.KIT", "kit_of_tests")


def test_a_failed_test_is_shown_with_its_reason(zoo, site, monkeypatch):
    answer(site, monkeypatch, json.dumps(RESULTS))

    code, out, _ = zoo("edge")

    assert code == 1
    assert out.splitlines()[2].split() == ["model", "net", "it", "exports", "failed", "no", "way"]
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_a_reason_that_many_tests_fail_for_is_told_once(zoo, site, monkeypatch):
    broken = {**RESULTS[1], "reason": "cannot be built"}
    answer(site, monkeypatch, json.dumps([broken, {**broken, "test": "it_learns"}, RESULTS[1]]))

    _, out, _ = zoo("edge")

    whys = [line.partition("failed")[2].strip() for line in out.splitlines()[1:4]]
    assert whys == ["cannot be built", "for the same reason", "no way"]


def test_a_plugin_that_keeps_its_promises_passes(zoo, site, monkeypatch):
    answer(site, monkeypatch, json.dumps(RESULTS[:1]))

    code, out, _ = zoo("edge", "--json")

    assert (code, json.loads(out)) == (0, RESULTS[:1])


def test_a_kit_that_gives_no_answer_is_a_failure(zoo, site, monkeypatch):
    answer(site, monkeypatch, "no document")

    code, out, err = zoo("edge", "--json")

    assert (code, out) == (1, "")
    assert "gave no answer" in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("egde", "unknown plugin 'egde'\nDid you mean edge?"),
        ("faulty", "plugin 'faulty' is failed: ValueError: odd"),
    ],
)
def test_a_plugin_that_is_not_there_or_does_not_load_is_refused(zoo, name, said):
    code, out, err = zoo(name)

    assert (code, out) == (2, "")
    assert said in err


def test_without_the_kit_it_is_said_how_to_get_it(zoo, monkeypatch):
    monkeypatch.setattr("zoo.distributions._checking.KIT", "no_such_kit")

    code, _, err = zoo("edge")

    assert code == 2
    assert "pip install zoo-testkit" in err
