"""Plugins that end the process or never return are found by loading each alone."""

import json
import subprocess

import pytest

from zoo.distributions import diagnose_plugins
from zoo.distributions._listing import ListingError, list_afresh
from zoo.plugins import installed_plugins

RECORD = {
    "name": "good",
    "distribution": "good",
    "version": "0.1",
    "state": "loaded",
    "reason": "",
    "location": "",
    "cure": "",
    "notes": [],
}


@pytest.fixture
def hanging(site, monkeypatch):
    """Two plugins, of which one never finishes loading; nobody waits for it."""
    site.install("good", "")
    site.install("hangs", "", metadata=["Project-URL: Bugs, https://bugs.example.org"])
    monkeypatch.delenv("ZOO_PLUGINS", raising=False)
    two = [(plugin, None) for plugin, _ in installed_plugins() if plugin.name in ("good", "hangs")]
    monkeypatch.setattr("zoo.distributions._diagnosis.installed_plugins", lambda: two)

    def run(command, *, env, timeout, **_):
        if env.get("ZOO_PLUGINS") != "good":
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, 0, json.dumps([RECORD]), "")

    monkeypatch.setattr("subprocess.run", run)


def test_a_plugin_that_hangs_is_named_and_the_others_are_listed(hanging):
    found = {diagnosis.plugin: diagnosis for diagnosis in diagnose_plugins(timeout_s=30)}

    assert found.keys() == {"good", "hangs"}
    assert found["good"].state == "loaded"
    assert (found["hangs"].state, found["hangs"].distribution) == ("failed", "hangs")
    assert found["hangs"].reason == "does not finish loading within 30 s"
    assert found["hangs"].cure == "Remove it: zoo plugins uninstall hangs"
    assert found["hangs"].home_page == "https://bugs.example.org"


def test_a_plugin_that_is_left_out_is_not_loaded_alone_either(hanging, monkeypatch):
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "hangs")

    assert [diagnosis.plugin for diagnosis in diagnose_plugins()] == ["good"]


@pytest.mark.parametrize(
    ("code", "how"), [(7, r"exit code 7"), (-11, r"signal SIGSEGV")], ids=["exit", "crash"]
)
def test_how_a_process_ended_is_said(monkeypatch, code, how):
    done = subprocess.CompletedProcess([], code, "", "")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)

    with pytest.raises(ListingError, match=how):
        list_afresh()
