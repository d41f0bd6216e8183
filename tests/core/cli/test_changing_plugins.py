"""Before plugins come or go it is said what will happen, and asked where somebody can answer."""

import json
import sys
from types import SimpleNamespace

import pytest

from zoo.cli._main import run
from zoo.distributions import Plan
from zoo.distributions._installer import Change, Installer

MARK = "from pathlib import Path; Path({!r}).touch()"


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that is there once the plan of removing zoo-edge-net is carried out."""
    mark = tmp_path / "mark"
    plan = Plan(
        Installer("pip", ()),
        [sys.executable, "-c", MARK.format(str(mark))],
        [Change("zoo-edge-net", "0.1", None)],
        ("zoo-edge-net brings the plugin edge.",),
    )
    monkeypatch.setattr("zoo.cli.plugins.uninstall.plan_uninstall", lambda names: plan)
    monkeypatch.setattr("zoo.distributions._changes.list_afresh", list)
    return mark


@pytest.fixture
def terminal(monkeypatch):
    """A terminal, and what is answered there; the questions are kept."""
    questions = []

    def answer(yes):
        def confirm(text, **options):
            questions.append((text, options["err"]))
            return yes

        monkeypatch.setattr("click.confirm", confirm)
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        return questions

    return answer


def test_on_a_terminal_it_is_asked_first(mark, terminal):
    questions = terminal(True)

    code = run(["plugins", "uninstall", "edge"])

    assert (code, questions, mark.exists()) == (0, [("Go on?", True)], True)


def test_who_says_no_has_changed_nothing(mark, terminal, capsys):
    terminal(False)

    code = run(["plugins", "uninstall", "edge"])

    assert (code, mark.exists()) == (1, False)
    assert capsys.readouterr().err.endswith("Nothing was changed.\n")


@pytest.mark.parametrize(
    ("words", "done"), [(["--yes"], True), (["--dry-run"], False)], ids=["yes", "dry run"]
)
def test_who_has_said_so_is_not_asked(mark, terminal, words, done):
    questions = terminal(False)

    code = run(["plugins", "uninstall", "edge", *words])

    assert (code, questions, mark.exists()) == (0, [], done)


def test_a_script_is_not_asked_and_gets_one_document(mark, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))

    code = run(["plugins", "uninstall", "edge", "--json"])

    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (code, mark.exists(), document["done"]) == (0, True, True)
    assert document["changes"] == [{"name": "zoo-edge-net", "before": "0.1", "after": None}]
    assert "zoo-edge-net brings the plugin edge.\n" in err
    assert "zoo-edge-net: 0.1 -> removed\n" in err
