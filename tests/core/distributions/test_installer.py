"""The commands that uv and pip are given, and where there is neither."""

import sys
from pathlib import Path

import pytest

from zoo.distributions import pinned_versions
from zoo.distributions._installer import (
    Installer,
    InstallerError,
    constraints_file,
    find_installer,
)
from zoo.errors import UsageError

UV = Installer("uv", ("uv", "pip"))
PIP = Installer("pip", ("python", "-m", "pip"))
PINS = Path("pins.txt")
UV_COMMAND = (
    f"uv pip install --python {sys.executable} --prerelease allow"
    " --upgrade-package a --reinstall-package b"
)


@pytest.mark.parametrize(
    ("installer", "command"),
    [(UV, UV_COMMAND), (PIP, "python -m pip install --disable-pip-version-check --pre --upgrade")],
    ids=["uv", "pip"],
)
def test_what_an_installer_is_told(installer, command):
    words = installer.install(
        ["a", "./b"], editable=["./c"], upgraded=["a"], rebuilt=["b"], pre=True, constraints=PINS
    )

    assert " ".join(words) == f"{command} --constraint pins.txt a ./b --editable ./c"


@pytest.mark.parametrize("installer", [UV, PIP], ids=["uv", "pip"])
def test_nothing_is_asked_that_was_not_wanted(installer):
    words = installer.install(["a"], constraints=PINS)

    assert not {"--pre", "--prerelease", "--upgrade", "--upgrade-package"} & set(words)


def test_what_all_stands_on_is_pinned_to_what_is_installed():
    with constraints_file() as file:
        lines = file.read_text().splitlines()

    assert lines == [f"{name}=={number}" for name, number in pinned_versions().items()]
    assert [line.partition("==")[0] for line in lines] == ["zoo-core", "torch", "torchvision"]
    assert not file.exists()


def test_uv_comes_before_pip(tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    assert find_installer() == Installer("uv", (str(uv), "pip"))


def test_pip_where_there_is_no_uv(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_installer() == Installer("pip", (str(tmp_path / "python"), "-m", "pip"))


def test_an_environment_with_neither_is_told_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("zoo.distributions._installer.find_spec", lambda name: None)

    with pytest.raises(UsageError, match=r"has no pip, and no uv is on the PATH") as caught:
        find_installer()

    assert "-m ensurepip" in caught.value.cure


def test_a_python_of_the_system_is_left_alone(tmp_path, monkeypatch):
    tmp_path.joinpath("EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)

    with pytest.raises(UsageError, match="managed by the operating system") as caught:
        find_installer()

    assert "-m venv .venv" in caught.value.cure


def test_an_installer_that_fails_is_said_to_have_failed(capfd):
    with pytest.raises(InstallerError, match="pip failed"):
        PIP.run([sys.executable, "-c", "print('the cause'); raise SystemExit(1)"])

    assert capfd.readouterr() == ("", "the cause\n")
