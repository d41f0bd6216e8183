"""The facts that explain a run's numbers, without its secrets and without torch."""

import json
import subprocess
import sys

import pytest

from zoo.runs import describe_environment


def test_it_says_versions_machine_and_command():
    facts = describe_environment(
        command=["zoo", "train", "resnet34", "--data", "my photos"],
        plugins={"zoo-resnet": "0.1.0"},
        device="cpu",
    )

    assert facts["command"] == "zoo train resnet34 --data 'my photos'"
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["plugins"] == {"zoo-resnet": "0.1.0"}
    assert facts["versions"].keys() >= {"zoo-core", "torch", "numpy", "safetensors"}
    assert facts["device"] == "cpu"
    assert facts["cpu"]["usable"] >= 1
    assert json.loads(json.dumps(facts)) == facts


def test_only_variables_that_change_numbers_are_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("ZOO_TRACKER__TOKEN", "planted-secret")

    facts = describe_environment()

    assert facts["variables"]["OMP_NUM_THREADS"] == "3"
    assert "planted-secret" not in json.dumps(facts)


@pytest.mark.parametrize(
    "word",
    [
        "https://me:planted-secret@host/data.zip",
        "--api-key=planted-secret",
        "callbacks.tracker.token=planted-secret",
        "--password=planted-secret",
    ],
)
def test_secrets_of_the_command_line_are_left_out(word):
    facts = describe_environment(command=["zoo", "train", "--set", word, "resnet34"])

    assert "planted-secret" not in json.dumps(facts)
    assert facts["command"].startswith("zoo train --set ")
    assert facts["command"].endswith(" resnet34")


def test_the_room_of_runs_loads_no_torch():
    program = (
        "import sys; import zoo.runs; zoo.runs.describe_environment()\n"
        "print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
