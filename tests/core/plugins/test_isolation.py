"""Whatever is wrong with an installed plugin, the command line names it and works without it.

Each fault is a distribution of its own, in a folder on the path; the commands run in processes of
their own, but for those that need torch.
"""

import json
import os
from dataclasses import dataclass, field

import pytest

from zoo.cli._main import run
from zoo.registry import default_registry

MODEL = """
def card(name="{name}", factory="{name}:build"):
    return ModelCard(name=name, task="classification", summary="s", factory=factory,
                     num_params=1, gmacs=1.0, num_classes=10,
                     input=InputSpec(size_px=8, resize_px=None))

@hookimpl
def zoo_models():
    return [card()]
"""
"""A plugin's code with one card, as far as nothing is wrong with it."""


@dataclass(frozen=True)
class Fault:
    """A plugin, and what is to be said of it.

    Attributes:
        code: of its module.
        line: that is at fault, as doctor shows it.
    """

    code: str
    reason: str
    line: str = ""
    cure: str = "tell its authors"
    target: str = ""
    metadata: tuple[str, ...] = field(default=("Requires-Dist: zoo-core>=0.1,<0.2",))


FAULTS = {
    "raises": Fault(
        "raise RuntimeError('boom')", "RuntimeError: boom", "raise RuntimeError('boom')"
    ),
    "syntax": Fault("def (", "SyntaxError: ", "def (", "not for Python"),
    "exits": Fault("raise SystemExit(0)", "SystemExit: 0", "raise SystemExit(0)", "no plugin may"),
    "lacks": Fault(
        "import zoo_no_such_module",
        "No module named 'zoo_no_such_module'",
        "import zoo_no_such_module",
        "pip install zoo_no_such_module",
    ),
    "lacks_stated": Fault(
        "def late():\n    import einops_of_nobody.layers\nlate()",
        "No module named 'einops_of_nobody'",
        "import einops_of_nobody.layers",
        'pip install "einops-of-nobody>=0.7"',
        metadata=("Requires-Dist: zoo-core>=0.1,<0.2", "Requires-Dist: einops-of-nobody (>=0.7)"),
    ),
    "damaged": Fault(
        "import damaged.cards",
        "No module named 'damaged.cards'",
        "import damaged.cards",
        "is damaged",
    ),
    "outdated": Fault(
        "from zoo import NoSuchCard", "cannot import name 'NoSuchCard'", "from zoo import NoSuch"
    ),
    "moduleless": Fault("", "No module named 'not_there'", cure="is damaged", target="not_there"),
    "attributeless": Fault("", "no attribute 'nothing'", target="attributeless:nothing"),
    "hook_raises": Fault(
        "@hookimpl\ndef zoo_models():\n    return 1 / 0", "ZeroDivisionError", "return 1 / 0"
    ),
    "rubbish": Fault(
        "@hookimpl\ndef zoo_models():\n    return 3",
        "zoo_models returned int, not a list of cards",
        "@hookimpl",
        "return a list of ModelCard",
    ),
    "mixed_up": Fault(
        f"{MODEL.format(name='mixed_up')}\n@hookimpl\ndef zoo_tasks(): return [card()]",
        "zoo_tasks gave ModelCard, not TaskCard",
        "@hookimpl",
        "return a list of TaskCard",
    ),
    "misspelt": Fault(
        "@hookimpl\ndef zoo_modles(): return []",
        "zoo_modles is no hook of zoo; did you mean zoo_models?",
        "@hookimpl",
        "The hooks are zoo_models, ",
    ),
    "unmarked": Fault(
        "def zoo_models(): return []",
        "zoo_models is not marked with @hookimpl",
        "def zoo_models(): return []",
        "write @hookimpl before",
    ),
    "newer": Fault(
        "raise AssertionError('imported')",
        "made for zoo-core>=2,<3; this is 0.1.0",
        cure="Upgrade zoo-core",
        metadata=("Requires-Dist: zoo_core<3,>=2",),
    ),
    "older": Fault(
        "raise AssertionError('imported')",
        "made for zoo-core>=0.0.1,<0.1; this is 0.1.0",
        cure="zoo plugins upgrade older",
        metadata=("Requires-Dist: Zoo.Core[tensorboard] (>=0.0.1,<0.1)",),
    ),
    "other_version": Fault(
        "import click\nclick.of_another_version",
        "AttributeError: ",
        "click.of_another_version",
        'pip install "click>=99"',
        metadata=("Requires-Dist: zoo-core>=0.1,<0.2", "Requires-Dist: click>=99"),
    ),
    "malformed": Fault("", "names no module", cure="Tell the authors", target="a net : : x"),
    "unclear": Fault(
        "raise AssertionError('imported')",
        "what it needs of zoo-core, 'about 2', cannot be read",
        cure="Tell the authors",
        metadata=("Requires-Dist: zoo-core about 2",),
    ),
}


@pytest.fixture(scope="module")
def crowd(shared_site):
    """All these plugins together, and one that works."""
    for name, fault in FAULTS.items():
        shared_site.install(name, fault.code, target=fault.target, metadata=fault.metadata)
    shared_site.install("good", MODEL.format(name="good"))
    return shared_site


def document(site, *words, code=0, plugins="good,faulty"):
    """What a command says, when it ends with this exit code."""
    done = site.zoo(*words, "--json", ZOO_PLUGINS=plugins)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def listing(crowd):
    records = document(crowd, "plugins", "list", plugins=",".join(["good", *FAULTS]))
    return {record["name"]: record for record in records}


@pytest.fixture(scope="module")
def diagnosis(crowd):
    plugins = ",".join(["good", *FAULTS])
    records = document(crowd, "plugins", "doctor", code=1, plugins=plugins)["plugins"]
    return {record["plugin"]: record for record in records}


@pytest.mark.parametrize("name", FAULTS)
def test_a_plugin_that_fails_is_named_with_its_reason(listing, name):
    record = listing[name]

    assert (record["state"], record["distribution"], record["version"]) == ("failed", name, "0.1")
    assert FAULTS[name].reason in record["reason"]


@pytest.mark.parametrize("name", FAULTS)
def test_doctor_shows_the_line_at_fault_and_what_helps(diagnosis, name):
    found, fault = diagnosis[name], FAULTS[name]

    assert (found["state"], found["distribution"], found["version"]) == ("failed", name, "0.1")
    assert fault.reason in found["reason"]
    assert found["line"].startswith(fault.line)
    assert bool(found["location"]) == bool(fault.line)
    assert fault.cure in found["cure"]


def test_doctor_finds_nothing_wrong_with_the_others(diagnosis):
    states = {name: found["state"] for name, found in diagnosis.items()}

    assert (states["good"], states["core"]) == ("loaded", "loaded")


def test_models_of_the_others_are_listed_beside_them(crowd):
    models = document(crowd, "list", "models", plugins=",".join(["good", *FAULTS]))

    assert [model["name"] for model in models] == ["good"]


def test_a_model_of_another_is_described_beside_them(crowd):
    pytest.importorskip("zoo_resnet")

    described = document(crowd, "info", "resnet34", plugins=",".join(["resnet", *FAULTS]))

    assert described["distribution"] == "zoo-resnet"


@pytest.fixture
def lone(site):
    """A plugin that works, in a folder of its own."""
    site.install("good", MODEL.format(name="good"))
    return site


def assert_the_rest_works(site):
    assert "good" in {model["name"] for model in document(site, "list", "models")}


NOISE = """
import ctypes, os
print("from Python")
os.write(1, b"from the descriptor\\n")
ctypes.CDLL(None).puts(b"from C")
"""


def test_what_a_plugin_prints_from_python_or_c_leaves_the_document_alone(lone):
    hook = MODEL.format(name="faulty").replace(
        "    return [card()]", "    say()\n    return [card()]"
    )
    lone.install("faulty", f"def say():{NOISE.replace(chr(10), chr(10) + '    ')}\nsay()\n{hook}")

    done = lone.zoo("list", "--json", ZOO_PLUGINS="good,faulty")

    assert {"faulty", "good"} <= {model["name"] for model in json.loads(done.stdout)}
    assert [done.stderr.count(f"from {place}") for place in ("Python", "the desc", "C")] == [
        2,
        2,
        2,
    ]
    assert_the_rest_works(lone)


LATE_NOISE = """
import atexit, io, sys, threading
atexit.register(print, "from an exit hook", file=sys.__stdout__)
threading.Thread(target=lambda: (threading.main_thread().join(), print("from a thread"))).start()
sys.stdout = io.StringIO()
"""


def test_what_a_plugin_prints_when_the_command_is_done_leaves_the_document_alone(lone):
    lone.install("faulty", f"{LATE_NOISE}\n{MODEL.format(name='faulty')}")

    diagnosis = document(lone, "plugins", "doctor")

    assert {"faulty": "loaded"}.items() <= {
        plugin["plugin"]: plugin["state"] for plugin in diagnosis["plugins"]
    }.items()
    assert_the_rest_works(lone)


def test_a_plugin_with_a_name_that_no_command_could_take_harms_no_listing(lone):
    lone.install("faulty", MODEL.format(name="faulty"), name="My Net:v2")

    done = lone.zoo("plugins", "list", "--json", ZOO_DISABLE_PLUGINS="")

    (record,) = [p for p in json.loads(done.stdout) if p["distribution"] == "faulty"]
    assert (done.returncode, record["state"]) == (0, "failed")
    assert "'My Net:v2' is not a name" in record["reason"]


def test_two_distributions_with_one_plugin_name_are_both_named(lone):
    lone.install("faulty-a", MODEL.format(name="faulty_a"), name="faulty")
    lone.install("faulty-b", MODEL.format(name="faulty_b"), name="faulty")

    diagnosis = document(lone, "plugins", "doctor", code=1)

    failed = {p["distribution"]: p for p in diagnosis["plugins"] if p["state"] == "failed"}
    assert failed.keys() == {"faulty-a", "faulty-b"}
    assert "faulty-b 0.1" in failed["faulty-a"]["reason"]
    assert "zoo plugins uninstall faulty-b" in failed["faulty-a"]["cure"]
    assert_the_rest_works(lone)


def test_a_model_name_that_two_have_is_refused_and_each_is_reached_by_its_full_name(lone):
    lone.install("faulty", MODEL.format(name="faulty").replace('"faulty"', '"good"', 1))

    short = lone.zoo("info", "good", ZOO_PLUGINS="good,faulty")

    assert short.returncode == 2
    assert "claimed by faulty:good (of faulty) and good:good (of good)" in short.stderr
    assert document(lone, "info", "faulty:good")["distribution"] == "faulty"
    assert document(lone, "info", "good:good")["distribution"] == "good"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("METADATA", b"\xff\xfe\x00", ""),
        ("entry_points.txt", b"[zoo.plugins]\nfaulty\n", "its entry points cannot be read"),
        ("entry_points.txt", b"\xff\xfe\x00", "its entry points cannot be read"),
    ],
    ids=["metadata that are no text", "an entry point without a target", "no text at all"],
)
def test_metadata_that_cannot_be_read_hide_no_other_plugin(lone, file, content, reason):
    lone.install("faulty", MODEL.format(name="faulty"))
    lone.folder.joinpath("faulty-0.1.dist-info", file).write_bytes(content)

    plugins = document(lone, "plugins", "list")

    (record,) = [p for p in plugins if p["name"] == "faulty"]
    assert reason in record["reason"]
    assert_the_rest_works(lone)


def test_a_plugin_that_imports_torch_to_be_listed_works_and_is_told(lone):
    lone.install("faulty", f"import torch\n{MODEL.format(name='faulty')}")

    diagnosis = document(lone, "plugins", "doctor")

    (found,) = [p for p in diagnosis["plugins"] if p["plugin"] == "faulty"]
    assert found["state"] == "loaded"
    assert "torch to be listed, which slows every command" in found["notes"][0]


def test_a_plugin_that_ends_the_process_is_found_by_doctor_and_can_be_left_out(lone):
    lone.install("faulty", "import os; os._exit(7)")

    diagnosis = document(lone, "plugins", "doctor", code=1)
    without = lone.zoo("list", "good", "--json", ZOO_DISABLE_PLUGINS="faulty")

    states = {p["plugin"]: (p["state"], p["reason"]) for p in diagnosis["plugins"]}
    assert states["faulty"] == ("failed", "ends the process while it loads (exit code 7)")
    assert states["good"] == ("loaded", "")
    assert [model["name"] for model in json.loads(without.stdout)] == ["good"]


@pytest.mark.parametrize(
    "words",
    [("--no-plugins", "list", "models"), ("list", "models", "--no-plugins")],
    ids=["before the verb", "after it"],
)
def test_no_plugins_holds_at_either_place(lone, words):
    lone.install("faulty", "import os; os._exit(7)")

    done = lone.zoo(*words, "--json")

    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_a_name_that_nobody_has_may_be_that_of_a_plugin_that_failed(lone):
    lone.install("faulty", "raise RuntimeError('boom')")

    done = lone.zoo("info", "faultynet", ZOO_PLUGINS="good,faulty")

    assert done.returncode == 2
    assert "It may belong to a plugin that failed to load (faulty)" in done.stderr


def test_a_failed_plugin_asked_for_by_name_says_why_and_what_helps(lone):
    lone.install("faulty", "import zoo_no_such_module")

    done = lone.zoo("info", "faulty:net")

    assert done.returncode == 2
    assert "is failed: ModuleNotFoundError: No module named 'zoo_no_such_module'" in done.stderr
    assert "pip install zoo_no_such_module" in done.stderr


BUILDS = """
def build(*, num_classes, in_channels=3):
    from torch import nn
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(in_channels, num_classes)
        def forward(self, images):
            {forward}
            return self.fc(images.mean(dim=(2, 3)))
    {build}
    return Net()
"""


@pytest.fixture
def zoo(lone, monkeypatch, capsys):
    """The command line in this process, which has torch already."""
    monkeypatch.setenv("ZOO_PLUGINS", "good,faulty")
    default_registry.cache_clear()

    def command(*words):
        capsys.readouterr()
        return run([str(word) for word in words]), *capsys.readouterr()

    yield command
    default_registry.cache_clear()


@pytest.mark.parametrize(
    ("build", "forward", "said"),
    [
        ("raise KeyError('width')", "pass", "faulty:faulty of faulty 0.1 cannot be built: KeyErr"),
        ("raise SystemExit(0)", "pass", "faulty:faulty of faulty 0.1 cannot be built: SystemExit"),
        ("import einopz", "pass", "faulty:faulty of faulty 0.1 cannot be built: ModuleNotFound"),
        ("pass", "raise ValueError('odd')", "plugin faulty of faulty 0.1 failed: ValueError: odd"),
        ("pass", "images.no_such()", "plugin faulty of faulty 0.1 failed: AttributeError"),
        ("pass", "raise SystemExit(0)", "plugin faulty of faulty 0.1 failed: SystemExit: 0"),
    ],
)
def test_a_model_that_fails_is_blamed_on_its_distribution(lone, zoo, build, forward, said):
    code = BUILDS.format(build=build, forward=forward)
    lone.install("faulty", MODEL.format(name="faulty") + code)

    code, out, err = zoo("info", "faulty", "--layers", "--json")

    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {said}")
    assert f"{lone.folder}{os.sep}faulty.py:" in err
    assert "Traceback" not in err
    assert zoo("info", "good")[0] == 0


@pytest.mark.parametrize("forward", ["raise ValueError('odd')", "images @ images.new_zeros(99, 1)"])
def test_a_model_that_fails_when_it_is_trained_leaves_no_run(lone, zoo, tmp_path, forward):
    code = BUILDS.format(build="pass", forward=forward)
    lone.install("faulty", MODEL.format(name="faulty") + code)
    words = ("train", "faulty", "--device", "cpu", "--output", tmp_path / "run")

    code, _, err = zoo(*words)
    _, _, shown = zoo(*words, "--debug")

    assert code == 1
    assert "Error: faulty:faulty of faulty 0.1 cannot be run on images of " in err
    assert "Traceback" not in err
    assert "Traceback" in shown
    assert not (tmp_path / "run").exists()


def test_images_that_torch_refuses_are_not_blamed_on_the_model(lone, zoo, tmp_path):
    code = BUILDS.format(build="pass", forward="nn.Conv2d(in_channels, 1, 99)(images)")
    lone.install("faulty", MODEL.format(name="faulty") + code)

    code, _, err = zoo("train", "faulty", "--device", "cpu", "--output", tmp_path / "run")

    assert code == 2
    assert "Error: faulty cannot learn from images of " in err
    assert "its card states 8 px" in err


def test_what_a_model_prints_while_it_trains_leaves_the_document_alone(lone, zoo, tmp_path):
    code = BUILDS.format(build="print('built')", forward="print('run')")
    lone.install("faulty", MODEL.format(name="faulty") + code)
    options = ("--device", "cpu", "--max-steps", "1", "--output", tmp_path / "run")

    code, out, err = zoo("train", "faulty", *options, "--json")

    assert code == 0, err
    assert json.loads(out)["run"] == str(tmp_path / "run")
    assert {"built", "run"} <= set(err.splitlines())
