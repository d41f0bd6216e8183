"""A plugin that fails is named, with its reason, and takes nobody with it."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from zoo import __version__
from zoo.plugins import Plugin, _process_state, load_plugins, plugin_choice
from zoo.plugins._metadata import _USUAL

MODEL = """
def card(name, **facts):
    known = dict(task="classification", summary="s", factory="m:f", num_params=1, gmacs=1.0)
    return ModelCard(name=name, **(known | facts))
"""
GOOD = f"{MODEL}\n@hookimpl\ndef zoo_models():\n    return [card('good')]\n"

FAULTS = {
    "raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "raises in two lines": ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
    "bad syntax": ("def (", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "base exception": ("class Odd(BaseException): pass\nraise Odd('x')", "Odd: x"),
    "odd exception": (
        "class Odd(Exception):\n def __str__(self): raise ValueError\nraise Odd",
        "Odd: its message cannot be read",
    ),
    "missing dependency": ("import zoo_no_such_module", "No module named 'zoo_no_such_module'"),
    "misspelt hook": ("@hookimpl\ndef zoo_modles(): return []", "did you mean zoo_models?"),
    "unmarked hook": ("def zoo_models(): return []", "not marked with @hookimpl"),
    "hook with a wish": ("@hookimpl\ndef zoo_models(wish): return []", "wish"),
    "hook raises": ("@hookimpl\ndef zoo_models(): return 1 / 0", "ZeroDivisionError"),
    "hook exits": ("@hookimpl\ndef zoo_models(): raise SystemExit", "SystemExit"),
    "hook breaks off": (
        f"{MODEL}\n@hookimpl\ndef zoo_models():\n yield card('a')\n raise KeyError('b')",
        "KeyError: 'b'",
    ),
    "nothing": ("@hookimpl\ndef zoo_models(): return None", "returned None"),
    "text": ("@hookimpl\ndef zoo_models(): return 'resnet'", "returned str"),
    "number": ("@hookimpl\ndef zoo_models(): return 3", "returned int"),
    "no cards": ("@hookimpl\ndef zoo_models(): return ['resnet']", "gave str, not ModelCard"),
    "another card": (
        f"{MODEL}\n@hookimpl\ndef zoo_datasets(): return [card('a')]",
        "gave ModelCard, not DatasetCard",
    ),
    "a name twice": (
        f"{MODEL}\n@hookimpl\ndef zoo_models(): return [card('a'), card('b'), card('a')]",
        "gave the name 'a' 2 times",
    ),
    "no name": (f"{MODEL}\n@hookimpl\ndef zoo_models(): return [card('a/b')]", "is not a name"),
    "a number that is none": (
        f"{MODEL}\n@hookimpl\ndef zoo_models(): return [card('a', num_params=None)]",
        "num_params of card 'a' is None, not int",
    ),
    "items of another type": (
        f"{MODEL}\n@hookimpl\ndef zoo_models(): return [card('a', tags=(1,))]",
        "tags of card 'a' is (1,), not tuple of str",
    ),
    "unknown field": ("@hookimpl\ndef zoo_models(): return [ModelCard(nam='a')]", "nam"),
}


def by_name(plugins: list[Plugin]) -> dict[str, Plugin]:
    return {plugin.name: plugin for plugin in plugins}


@pytest.mark.parametrize(("code", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_and_harms_no_other_plugin(site, code, reason):
    site.install("aaa", code)
    site.install("zzz", GOOD)

    plugins = by_name(load_plugins(found=site.entry_points()))

    failed = plugins["aaa"]
    assert (failed.state, failed.distribution, failed.version) == ("failed", "aaa", "0.1")
    assert reason in failed.reason
    assert "\n" not in failed.reason
    assert "Traceback" in failed.traceback
    assert not failed.cards
    assert plugins["zzz"].state == "loaded"
    assert [card.name for card in plugins["zzz"].cards["model"]] == ["good"]
    assert plugins["core"].state == "loaded"


def test_an_entry_point_to_nothing_is_named(site):
    site.install("aaa", GOOD, target="aaa:nothing")

    failed = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert failed.state == "failed"
    assert "nothing" in failed.reason


def test_an_entry_point_may_name_an_object(site):
    code = "class Bundle:\n @hookimpl\n def zoo_models(self): return []\nbundle = Bundle()"
    site.install("aaa", code, target="aaa:bundle")

    loaded = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert (loaded.state, loaded.cards) == ("loaded", {"model": ()})


def test_ctrl_c_while_a_plugin_loads_ends_the_program(site):
    site.install("aaa", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load_plugins(found=site.entry_points())


def test_what_a_plugin_prints_goes_to_stderr(site, capsys):
    site.install("aaa", "print('at import')\n@hookimpl\ndef zoo_models():\n print('hook')\n yield")

    load_plugins(found=site.entry_points())

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "at import\nhook\n"


def test_two_strangers_with_one_name_are_both_reported_and_neither_is_loaded(site):
    site.install("aaa", GOOD, name="same")
    site.install("bbb", GOOD, name="same")

    same = [p for p in load_plugins(found=site.entry_points()) if p.name == "same"]

    assert [(p.distribution, p.state) for p in same] == [("aaa", "failed"), ("bbb", "failed")]
    assert "bbb 0.1" in same[0].reason
    assert "aaa 0.1" in same[1].reason


def test_a_stranger_cannot_take_the_name_of_a_first_party_plugin(site):
    site.install("aaa", GOOD, name="unet")
    site.install("zoo-unet", GOOD, name="unet")

    unet = [p for p in load_plugins(found=site.entry_points()) if p.name == "unet"]

    states = [(p.distribution, p.state) for p in unet]
    assert states == [("zoo-unet", "loaded"), ("aaa", "failed")]


def test_nobody_else_is_called_core(site):
    site.install("aaa", GOOD, name="core")

    core = [p for p in load_plugins(found=site.entry_points()) if p.name == "core"]

    assert [(p.distribution, p.state) for p in core] == [("zoo-core", "loaded"), ("aaa", "failed")]


def test_metadata_that_cannot_be_read_are_unknown(site):
    site.install("aaa", GOOD)
    site.folder.joinpath("aaa-0.1.dist-info", "METADATA").unlink()

    loaded = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert (loaded.state, loaded.distribution, loaded.version) == ("loaded", "unknown", "unknown")


@pytest.mark.parametrize(
    ("requirements", "state"),
    [
        ((), "loaded"),
        (("zoo-core",), "loaded"),
        (("zoo-core>=0.1,<0.2",), "loaded"),
        (("zoo-core~=0.1.0",), "loaded"),
        (("zoo_core (>=0.1)", "zoo-core<0.2"), "loaded"),
        (("zoo-core @ file:///somewhere",), "loaded"),
        (("zoo-core-extras>=9",), "loaded"),
        (("zoo-core>=9; extra == 'all'",), "loaded"),
        (("zoo-core>=9; python_version < '3'",), "loaded"),
        (("zoo-core>=9; python_version > '3'",), "failed"),
        (("zoo-core>=9; nonsense",), "failed"),
        (("zoo-core>=0.1", "zoo-core[lamb]>=9"), "failed"),
        (("zoo-core==0.1.0.post1",), "failed"),
    ],
)
def test_what_a_plugin_requires_of_zoo_decides_whether_it_is_imported(site, requirements, state):
    lines = [f"Requires-Dist: {requirement}" for requirement in requirements]
    site.install("aaa", GOOD, metadata=lines)

    plugin = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert (plugin.state, plugin.distribution) == (state, "aaa")
    assert ("aaa" in sys.modules) == (state == "loaded")


def test_the_usual_requirement_is_one_that_this_zoo_fulfils():
    assert SpecifierSet(",".join(_USUAL)).contains(__version__)


class TimeIsUp:
    """A timer that goes off when the plugin that is loading says so."""

    daemon = False

    def __init__(self, seconds, tell):
        TimeIsUp.tell = staticmethod(tell)

    def start(self):
        pass

    cancel = join = start


def test_who_is_waited_for_is_said(site, monkeypatch, capsys):
    monkeypatch.setattr("threading.Timer", TimeIsUp)
    site.install("aaa", GOOD)
    site.install("slow", "import threading; threading.Timer.tell()")
    site.install("zzz", GOOD)

    load_plugins(found=site.entry_points())

    said = "Still loading plugin slow of slow 0.1; ZOO_DISABLE_PLUGINS=slow leaves it out.\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("choice", "states"),
    [
        ({"only": ("aaa",)}, {"aaa": "loaded", "bbb": "disabled"}),
        ({"without": ("aaa",)}, {"aaa": "disabled", "bbb": "loaded"}),
        ({"only": ()}, {"aaa": "disabled", "bbb": "disabled"}),
        ({"only": ("aaa", "bbb"), "without": ("bbb",)}, {"aaa": "loaded", "bbb": "disabled"}),
    ],
)
def test_core_is_loaded_whatever_is_chosen(site, choice, states):
    site.install("aaa", GOOD)
    site.install("bbb", GOOD)

    plugins = load_plugins(found=site.entry_points(), **choice)

    assert {p.name: p.state for p in plugins} == {"core": "loaded", **states}


def test_a_disabled_plugin_is_not_imported(site):
    site.install("aaa", "raise KeyboardInterrupt")

    plugins = by_name(load_plugins(found=site.entry_points(), without=("aaa",)))

    assert plugins["aaa"].reason == "ZOO_DISABLE_PLUGINS names it"


def test_a_chosen_plugin_that_is_not_installed_is_reported_with_a_near_name(site):
    site.install("resnet-like", GOOD)

    plugins = by_name(load_plugins(found=site.entry_points(), only=("resnet-lik",)))

    assert plugins["resnet-lik"].state == "failed"
    assert "did you mean resnet-like?" in plugins["resnet-lik"].reason


@pytest.mark.parametrize(
    ("environ", "choice"),
    [
        ({}, {"only": None, "without": frozenset()}),
        ({"ZOO_PLUGINS": ""}, {"only": frozenset(), "without": frozenset()}),
        ({"ZOO_PLUGINS": "a, b"}, {"only": {"a", "b"}, "without": frozenset()}),
        ({"ZOO_DISABLE_PLUGINS": "c"}, {"only": None, "without": {"c"}}),
    ],
)
def test_the_environment_chooses(environ, choice):
    assert plugin_choice(environ) == choice


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.permutations(range(5)))
def test_the_order_of_the_disk_changes_nothing(site, order):
    if not site.entry_points():
        for distribution, name in (("b", "b"), ("a", "same"), ("c", "same"), ("zoo-unet", "u")):
            site.install(distribution, GOOD, name=name)
        site.install("x", "raise ValueError")
    found = site.entry_points()

    plugins = load_plugins(found=[found[i] for i in order])

    assert [(p.name, p.distribution, p.state) for p in plugins] == [
        ("core", "zoo-core", "loaded"),
        ("u", "zoo-unet", "loaded"),
        ("b", "b", "loaded"),
        ("same", "a", "failed"),
        ("same", "c", "failed"),
        ("x", "x", "failed"),
    ]


OTHER_LOCALE = """
from locale import *
setlocale(LC_CTYPE, "C.UTF-8" if setlocale(LC_CTYPE) == "C" else "C")
"""


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("import os; os.chdir('/')", ("the working folder",)),
        ("import sys; sys.stdout = sys.stderr = None", ("sys.stdout", "sys.stderr")),
        ("import sys; sys.excepthook = print", ("sys.excepthook",)),
        ("from signal import *; signal(SIGINT, print)", ("what Ctrl-C does",)),
        (OTHER_LOCALE, ("the locale",)),
        ("import torch; torch.set_default_dtype(torch.float64)", ("torch's default dtype",)),
        ("import warnings", ()),
    ],
)
def test_what_a_plugin_changes_of_the_process_is_undone_and_named(site, code, changed):
    site.install("aaa", f"{code}\n{GOOD}")
    before = {name: read() for name, (read, _) in _process_state._STATES.items()}

    plugin = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert (plugin.state, plugin.changed) == ("loaded", changed)
    assert all((word in " ".join(plugin.notes)) for word in changed)
    assert {name: read() for name, (read, _) in _process_state._STATES.items()} == before


def test_what_a_plugin_that_fails_has_changed_is_undone_too(site):
    site.install("aaa", "import os; os.chdir('/'); raise RuntimeError('boom')")
    before = Path.cwd()

    load_plugins(found=site.entry_points())

    assert Path.cwd() == before


def test_several_versions_of_a_distribution_are_told_with_their_places(site, tmp_path, monkeypatch):
    site.install("aaa", GOOD)
    stale = tmp_path / "stale" / "aaa-0.3.dist-info"
    stale.mkdir(parents=True)
    (stale / "METADATA").write_text("Name: aaa\nVersion: 0.3\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(stale.parent)])

    plugin = by_name(load_plugins(found=site.entry_points()))["aaa"]

    assert plugin.copies == (f"0.1 in {site.folder}", f"0.3 in {stale.parent}")
    assert f"aaa is installed in several versions: {plugin.copies[0]}, and" in plugin.notes[0]


def test_a_folder_that_is_on_the_path_twice_is_no_second_version(site, monkeypatch):
    site.install("aaa", GOOD)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site.folder)])

    assert by_name(load_plugins(found=site.entry_points()))["aaa"].copies == ()
