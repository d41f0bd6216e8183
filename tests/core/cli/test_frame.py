"""Help, versions, completion, and what is loaded for them."""

import json
import os
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo as package
from zoo.cli._group import zoo as group
from zoo.cli._main import run
from zoo.cli._verbs import VERBS
from zoo.registry import default_registry


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_verb(zoo, flag):
    outcome = zoo(flag)

    assert (outcome.code, outcome.err) == (0, "")
    listed = [line.split()[0] for line in outcome.out.split("Commands:\n")[1].splitlines()]
    assert listed == list(VERBS)


def test_no_words_at_all_show_the_help_on_stderr(capsys):
    code = run([])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "Commands:" in err


def test_the_version(zoo):
    assert zoo("--version") == (0, f"zoo {package.__version__}\n", "")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_of_the_table_has_a_help_and_takes_debug(name):
    command = group.get_command(click.Context(group), name)

    assert isinstance(command, click.Command)
    assert command.help
    assert [p.name for p in command.params].count("debug") == 1


LOADED = """
import sys
from zoo.cli._main import run
code = run(sys.argv[1:])
heavy = {"torch", "numpy", "PIL", "pydantic", "rich", "tomli_w"} & sys.modules.keys()
verbs = [name for name in sys.modules if name.startswith("zoo.cli.") and "._" not in name]
print(code, sorted(heavy), verbs, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "verbs"),
    [
        ("--help", []),
        ("--version", []),
        ("list", ["zoo.cli.list"]),
        ("list recipes --json", ["zoo.cli.list"]),
        ("plugins list", ["zoo.cli.plugins", "zoo.cli.plugins.list"]),
    ],
)
def test_listing_loads_nothing_heavy_and_no_other_verb(words, verbs):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words.split()], capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1] == f"0 [] {verbs}"


def test_no_plugins_holds_for_the_command_and_no_longer(zoo, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "some,others")

    document = json.loads(zoo("plugins", "list", "--json").out)

    assert {plugin["name"]: plugin["state"] for plugin in document}["core"] == "loaded"
    assert not [p for p in document if p["state"] == "failed"]
    assert os.environ["ZOO_PLUGINS"] == "some,others"
    assert {"some", "others"} <= {plugin.name for plugin in default_registry().plugins}


@pytest.mark.parametrize(
    ("words", "typed", "offered"),
    [
        ([], "do", ["doctor"]),
        ([], "--ver", ["--version"]),
        (["list", "--task"], "cl", ["classification"]),
    ],
)
def test_words_are_completed(zoo, words, typed, offered):
    completer = ShellComplete(group, {}, "zoo", "_ZOO_COMPLETE")

    items = completer.get_completions(["--no-plugins", *words], typed)

    assert [item.value for item in items] == offered


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    words=st.lists(
        st.sampled_from(["list", "info", "plugins", "models", "--json", "--task", "tasks", "--"])
        | st.text(max_size=12)
        | st.sampled_from(["nan", "1e999", "x" * 300, "\x1b[2J", "\ud800", "../..", "-", "\uff11"]),
        max_size=4,
    )
)
def test_any_words_are_answered_or_refused_without_a_traceback(zoo, words):
    outcome = zoo(*words)

    assert outcome.code in (0, 2)
    assert "Traceback" not in outcome.err
    assert "looks like a bug" not in outcome.err
    assert "\x1b" not in outcome.out + outcome.err
