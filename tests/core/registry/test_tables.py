"""A table of cards: its names are known at once, a card is made when it is asked for."""

import json
import os
import pty
import subprocess
import sys
from importlib.metadata import version

import pytest

from zoo.cards import CardTable, ModelCard
from zoo.errors import PluginError, UsageError
from zoo.plugins import Plugin
from zoo.registry import Registry

SHARED = [f"net{number}" for number in range(35)]


def model(name: str, row: dict) -> ModelCard:
    return ModelCard(
        name=name, task="t", summary="s", factory="m:f", num_params=row["params"], gmacs=1.0
    )


def plugin(name: str, cards, **fields) -> Plugin:
    facts = {"name": name, "distribution": f"zoo-{name}", "version": "1.2", "target": ""}
    return Plugin(**facts, cards={"model": cards}, **fields)


def table(rows: dict, build=model, **fields) -> CardTable:
    facts = {"library": "pytest", "version": version("pytest"), "install": "pytest"}
    return CardTable(**{**facts, **fields}, rows=rows, build=build)


def test_a_name_is_found_without_making_another_card():
    made = []
    rows = {"a": {"params": 1}, "b": {"params": 2}}
    cards = table(rows, build=lambda name, row: made.append(name) or model(name, row))
    registry = Registry([plugin("bridge", cards, short_names=False)])

    entry = registry.get("model", "bridge:b")

    assert entry.card.num_params == 2
    assert made == ["b"]


def test_a_table_is_a_sequence_of_cards():
    cards = table({"a": {"params": 1}, "b": {"params": 2}, "c": {"params": 3}})

    assert len(cards) == 3
    assert [card.name for card in cards] == ["a", "b", "c"]
    assert cards[-1].num_params == 3
    assert [card.name for card in cards[:2]] == ["a", "b"]


def test_a_row_that_makes_no_card_is_told_and_the_others_are_listed():
    told = []
    cards = table({"a": {"params": 1}, "b": {}})
    registry = Registry([plugin("bridge", cards)], notify=told.append)

    entries = registry.entries("model")

    assert [entry.card.name for entry in entries] == ["a"]
    assert told == ["bridge:b of zoo-bridge 1.2 has no card: KeyError: 'params'"]
    with pytest.raises(PluginError, match=r"bridge:b of zoo-bridge 1\.2 has no card"):
        registry.get("model", "b")


def test_two_bridges_and_the_owner_share_35_names_and_the_owner_keeps_them():
    rows = {name: {"params": 1} for name in SHARED}
    own = plugin("resnet", tuple(model(name, rows[name]) for name in SHARED))
    bridges = [plugin(name, table(rows), short_names=False) for name in ("one", "two")]
    registry = Registry([own, *bridges], notify=pytest.fail)

    owners = {name: registry.get("model", name).plugin for name in SHARED}
    shown = [registry.shown_name("model", entry) for entry in registry.entries("model")]

    assert set(owners.values()) == {"resnet"}
    assert len(shown) == len(set(shown)) == 3 * 35
    assert {"net34", "one:net34", "two:net34"} <= set(shown)


def test_bridges_that_share_a_name_with_each_other_alone_clash_for_it():
    rows = {name: {"params": 1} for name in SHARED}
    bridges = [plugin(name, table(rows), short_names=False) for name in ("one", "two")]
    registry = Registry(bridges)

    with pytest.raises(UsageError, match=r"claimed by one:net7 .* and two:net7"):
        registry.get("model", "net7")

    assert registry.get("model", "two:net7").plugin == "two"


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({}, ""),
        ({"version": "1.0"}, f"table made for pytest 1.0; {version('pytest')} is installed"),
        (
            {"library": "no-such-library", "install": "zoo-x[y]"},
            "no-such-library is not installed: pip install 'zoo-x[y]'",
        ),
    ],
)
def test_another_version_of_the_library_is_noted(facts, note):
    assert table({}, **facts).note() == note


BRIDGE = """
import zoo

short_names = False

@hookimpl
def zoo_models():
    return zoo.CardTable(
        library="no-such-library", version="1.0", install="zoo-bridge[all]",
        rows={rows},
        build=lambda name, row: {card},
    )
"""
CARD = (
    'ModelCard(name=name, task="t", summary="s", factory="m:f", num_params=row, gmacs=1.0,'
    " license='MIT')"
)
OWN = """
@hookimpl
def zoo_models():
    return [ModelCard(name="own", task="t", summary="s", factory="m:f", num_params=1, gmacs=1.0)]
"""


def installed(rows: dict, card: str = CARD) -> str:
    return BRIDGE.replace("{rows}", repr(rows)).replace("{card}", card)


@pytest.mark.parametrize(
    ("rows", "card", "reason"),
    [
        ({"A b": 1}, CARD, "'A b' is not a name"),
        ({"a": 1}, "row", "a table of int, not ModelCard"),
        ({"a": 1}, "row['x']", "TypeError"),
    ],
)
def test_a_table_with_faults_fails_its_plugin_alone(site, rows, card, reason):
    site.install("bridge", installed(rows, card))
    site.install("own", OWN)

    done = site.zoo("plugins", "list", "--json", ZOO_PLUGINS="bridge,own")

    states = {record["name"]: record for record in json.loads(done.stdout)}
    assert states["own"]["state"] == "loaded"
    assert states["bridge"]["state"] == "failed"
    assert reason in states["bridge"]["reason"]


def test_a_listing_that_is_piped_is_whole_and_notes_go_to_stderr(site):
    site.install("bridge", installed({"a": 1, "b": 2}))
    site.install("own", OWN)

    done = site.zoo("list", ZOO_PLUGINS="bridge,own")

    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["name", "bridge:a", "bridge:b", "own"]
    assert done.stderr == (
        "bridge: no-such-library is not installed: pip install 'zoo-bridge[all]'\n"
    )


def test_a_terminal_shows_one_line_for_a_bridge(site):
    site.install("bridge", installed({"a": 1, "b": 2}))
    site.install("own", OWN)

    shown = in_terminal(site, "list", ZOO_PLUGINS="bridge,own")

    assert [line.split()[0] for line in shown[:2]] == ["name", "own"]
    assert shown[2] == "bridge: 2 more models; `zoo list models 'bridge:*'` shows them"


def test_a_terminal_shows_the_bridge_that_is_asked_for(site):
    site.install("bridge", installed({"a": 1, "b": 2}))

    shown = in_terminal(site, "list", "bridge:*", ZOO_PLUGINS="bridge")

    assert [line.split()[0] for line in shown] == ["name", "bridge:a", "bridge:b"]


def in_terminal(site, *words: str, **environment: str) -> list[str]:
    """The lines that a command shows on a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", "from zoo.cli import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(site.folder), **environment},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    return shown.decode().replace("\r", "").splitlines()
