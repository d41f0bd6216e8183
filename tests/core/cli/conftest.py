"""A verb that does what a test wants, and a way to run the command line in this process."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import click
import pytest

from zoo.cli._main import run
from zoo.cli._verbs import VERBS
from zoo.registry import default_registry


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Run words, with core alone: what plugins the tester has installed changes nothing."""
    default_registry.cache_clear()

    def outcome(*words: str) -> Outcome:
        capsys.readouterr()
        code = run(["--no-plugins", *words])
        return Outcome(code, *capsys.readouterr())

    yield outcome
    default_registry.cache_clear()


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make a function the verb ``act``."""

    def install(function: Callable[[], object]) -> None:
        module = ModuleType("a_verb_for_tests")
        module.act = click.command("act")(function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(VERBS, "act", ("a_verb_for_tests:act", "Act."))

    return install
