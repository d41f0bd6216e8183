"""The command line lives with plugins that fail, and takes their verbs."""

import json

import pytest
import torch

from zoo.cli.doctor import _plugins
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry


def test_the_table_shows_state_and_reason_and_on_request_the_traceback(site):
    site.install("raises", "raise RuntimeError('boom')")

    done = site.zoo("plugins", "list", "--traceback", ZOO_PLUGINS="raises")

    (line,) = [line for line in done.stdout.splitlines() if line.startswith("raises  ")]
    assert line.split(maxsplit=4) == ["raises", "raises", "0.1", "failed", "RuntimeError: boom"]
    assert "raises of raises:\nTraceback" in done.stdout
    assert "`zoo plugins doctor` says what helps." in done.stderr


def test_a_name_that_core_owns_is_said_to_need_its_full_form(site):
    site.install(
        "copycat",
        """
@hookimpl
def zoo_tasks():
    return [TaskCard(name="classification", summary="mine", factory="m:f", default_dataset="d")]
""",
    )

    table = site.zoo("plugins", "list", ZOO_PLUGINS="copycat")
    document = json.loads(site.zoo("plugins", "list", "--json", ZOO_PLUGINS="copycat").stdout)

    assert "use copycat:classification for the task" in table.stderr
    long_names = {plugin["name"]: plugin["only_by_full_name"] for plugin in document}
    assert long_names["copycat"] == {"task": ["copycat:classification"]}
    assert long_names["core"] == {}


def test_a_plugin_that_imports_much_to_be_listed_is_told(site):
    site.install("heavy", "import numpy\nfrom PIL import Image")

    document = json.loads(site.zoo("plugins", "list", "--json", ZOO_PLUGINS="heavy").stdout)

    assert {p["name"]: p["heavy"] for p in document}["heavy"] == ["PIL", "numpy"]


def test_the_doctor_of_the_machine_names_plugins_with_faults(site):
    site.install("raises", "raise RuntimeError('boom')")
    heavy = Plugin(name="heavy", distribution="heavy", version="1", target="", heavy=("PIL",))
    double = Plugin(
        name="double", distribution="d", version="1", target="", copies=("1 in a", "2 in b")
    )
    meddler = Plugin(
        name="meddler", distribution="m", version="1", target="", changed=("the locale",)
    )
    plugins = [*load_plugins(found=site.entry_points()), heavy, double, meddler]

    checks = {check.name: check for check in _plugins(plugins)}

    assert checks["plugin raises"].fault == "RuntimeError: boom"
    assert checks["plugin raises"].cure == "`zoo plugins upgrade raises`, or tell its authors."
    assert "imports PIL to be listed" in checks["plugin heavy"].fault
    assert "d is installed in several versions: 1 in a, and 2 in b" in checks["plugin double"].fault
    assert "changes the locale" in checks["plugin meddler"].fault
    assert not checks["plugin core"].fault


VERBS = """
import click

@click.command()
@click.argument("name")
def greet(name):
    "Greet."
    click.echo(f"hello {name}")

@click.command()
def crash():
    raise RuntimeError("deep inside")

@hookimpl
def zoo_commands():
    return [
        CommandSpec(name="greet", summary="greets", factory="verbs:greet"),
        CommandSpec(name="crash", summary="crashes", factory="verbs:crash"),
        CommandSpec(name="list", summary="would shadow", factory="verbs:greet"),
        CommandSpec(name="broken", summary="is not there", factory="verbs:missing"),
        CommandSpec(name="odd", summary="is no command", factory="builtins:dict"),
    ]
"""


def test_help_shows_the_verbs_of_plugins_broken_ones_too(site):
    site.install("verbs", VERBS)

    done = site.zoo("--help", ZOO_PLUGINS="verbs")

    section = done.stdout.split("Commands of plugins:\n")[1].splitlines()
    assert [line.split()[0] for line in section] == [
        "broken",
        "crash",
        "greet",
        "verbs:list",
        "odd",
    ]


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("greet", "you"), 0, "hello you\n", ""),
        (("verbs:greet", "you"), 0, "hello you\n", ""),
        (("verbs:list", "you"), 0, "hello you\n", ""),
        (("crash",), 1, "", "Error: plugin verbs of verbs 0.1 failed: RuntimeError: deep inside"),
        (("broken",), 1, "", "Error: verbs:broken of verbs 0.1 cannot be loaded: "),
        (("odd",), 2, "", "Error: command verbs:odd of verbs 0.1 is type, not a click command"),
        (("gret",), 2, "", "Error: unknown command 'gret'\nDid you mean greet?"),
    ],
)
def test_verbs_of_plugins_run(site, words, code, out, err):
    site.install("verbs", VERBS)

    done = site.zoo(*words, ZOO_PLUGINS="verbs")

    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr.startswith(err)


def test_no_plugin_takes_the_verb_of_core(site):
    site.install("verbs", VERBS)

    done = site.zoo("list", "tasks", "--json", ZOO_PLUGINS="verbs")

    assert "classification" in [record["name"] for record in json.loads(done.stdout)]


def test_a_second_version_of_a_distribution_is_told_once(site):
    site.install("twin", "@hookimpl\ndef zoo_models(): return []")
    stale = site.folder / "twin-0.3.dist-info"
    stale.mkdir()
    (stale / "METADATA").write_text("Name: twin\nVersion: 0.3\n")

    said = site.zoo("list", "tasks").stderr

    assert said.count("twin is installed in several versions: ") == 1
    assert said.count(f" in {site.folder}") == 2


def test_a_plugin_that_another_version_of_its_distribution_hides_is_told(site, tmp_path):
    site.install("twin", "@hookimpl\ndef zoo_models(): return []")
    stale = tmp_path / "first" / "twin-0.0.dist-info"
    stale.mkdir(parents=True)
    (stale / "METADATA").write_text("Name: twin\nVersion: 0.0\n")

    document = json.loads(site.zoo("plugins", "list", "--json", before=stale.parent).stdout)

    (record,) = [record for record in document if record["name"] == "twin"]
    assert (record["state"], record["version"]) == ("failed", "0.1")
    assert record["reason"] == f"hidden by another version of twin, 0.0 in {stale.parent}"


def test_a_model_whose_import_meddles_with_the_process_is_named_and_undone(site):
    site.install(
        "meddler",
        """
@hookimpl
def zoo_models():
    facts = dict(task="classification", summary="s", num_params=1, gmacs=1.0)
    return [ModelCard(name="m", factory="meddling_net:build", **facts)]
""",
    )
    net = "import torch\ntorch.set_default_dtype(torch.float64)\nbuild = torch.nn.Flatten\n"
    (site.folder / "meddling_net.py").write_text(net)
    said = []
    registry = Registry(load_plugins(found=site.entry_points()), notify=said.append)

    registry.load(registry.get("model", "m"))

    assert torch.get_default_dtype() == torch.float32
    assert said == ["meddler:m changes torch's default dtype where it is imported; it is undone"]
