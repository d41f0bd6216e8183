"""What doctor finds wrong, and what it says to do about it."""

import json

import pytest

from zoo.cli.doctor import _cuda, _importable, _writable


def test_a_healthy_machine(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.cli.doctor.LEAST_SHARED_BYTES", 0)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "not" / "yet"))

    outcome = zoo("doctor", "--json")

    document = json.loads(outcome.out)
    values = {check["name"]: check["value"] for check in document["checks"]}
    assert (outcome.code, document["healthy"]) == (0, True)
    assert {"python", "torch", "torchvision", "zoo-core", "cores", "memory"} <= values.keys()
    assert {"device", "precision", "CUDA", "plugin core"} <= values.keys()
    assert values["cache folder"].startswith(str(tmp_path / "not" / "yet"))
    assert not (tmp_path / "not").exists()


def test_a_fault_is_printed_with_its_cure(zoo, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(file))

    outcome = zoo("doctor")

    assert outcome.code == 1
    assert f"Fault in cache folder: {file}: Not a directory\nSet ZOO_CACHE" in outcome.out


def test_a_package_that_cannot_be_imported_is_a_fault(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)

    check = _importable("torchvision")

    assert "ModuleNotFoundError" in check.fault
    assert "torch torchvision" in check.cure


@pytest.mark.parametrize(
    ("driver", "devices", "faulty"),
    [("/usr/bin/nvidia-smi", 0, True), ("/usr/bin/nvidia-smi", 1, False), (None, 0, False)],
)
def test_a_driver_without_a_device_is_a_fault(monkeypatch, driver, devices, faulty):
    monkeypatch.setattr("shutil.which", lambda name: driver)

    check = _cuda("12.8", devices, "its driver is too old")

    assert bool(check.fault) == faulty
    assert ("its driver is too old" in check.fault) == faulty


def test_a_folder_is_left_as_it_is(tmp_path):
    check = _writable("cache folder", tmp_path / "a" / "b", "ZOO_CACHE")

    assert check.fault == ""
    assert list(tmp_path.iterdir()) == []
