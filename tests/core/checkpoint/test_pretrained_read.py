"""Weights files: safetensors as they are, pickles only behind a wall, and nothing executed."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo.checkpoint import _convert, read_weights
from zoo.checkpoint._convert import RefusedError, convert
from zoo.errors import WeightsError

STATE = OrderedDict(a=torch.arange(4.0), b=torch.ones(2, 3, dtype=torch.float16))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.marker}",)


class Builtin(Payload):
    def __reduce__(self) -> tuple:
        return exec, (f"open({str(self.marker)!r}, 'w')",)


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def stacked_global(marker: Path) -> bytes:
    """Protocol 4 opcodes that call ``os.system`` without a class of ours."""
    command = f"touch {marker}".encode()
    return (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command + b"\x85R."
    )


def inner_zip(marker: Path) -> bytes:
    """A torch archive whose ``data.pkl`` is replaced."""
    source = zipfile.ZipFile(io.BytesIO(saved({"a": torch.ones(1)})))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, pickle.dumps(Payload(marker)) if "data.pkl" in name else data)
    return file.getvalue()


HOSTILE = {
    "reduce": lambda m: saved({"a": Payload(m)}),
    "bare": lambda m: saved(Payload(m)),
    "nested": lambda m: saved({"state_dict": {"a": [{"b": Payload(m)}]}}),
    "builtin": lambda m: saved({"a": Builtin(m)}),
    "legacy": lambda m: saved({"a": Payload(m)}, _use_new_zipfile_serialization=False),
    "opcodes": stacked_global,
    "archive": inner_zip,
    **{
        f"protocol-{n}": lambda m, n=n: pickle.dumps({"a": Payload(m)}, protocol=n)
        for n in range(6)
    },
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_payload_is_executed(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    (tmp_path / "hostile.pth").write_bytes(HOSTILE[kind](marker))

    with pytest.raises(RefusedError):
        convert(tmp_path / "hostile.pth", tmp_path / "out")

    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_the_payload_of_these_tests_would_run_where_nothing_stops_it(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "executed")))

    assert (tmp_path / "executed").exists()


def test_a_hostile_file_is_refused_though_the_environment_allows_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    (tmp_path / "hostile.pth").write_bytes(HOSTILE["reduce"](tmp_path / "executed"))

    with pytest.raises(WeightsError, match=r"hostile\.pth is refused"):
        read_weights(tmp_path / "hostile.pth")

    assert not (tmp_path / "executed").exists()
    assert list(cache.iterdir()) == []


def test_a_pickled_file_is_converted_once_apart_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.pth"
    torch.save(STATE, path)
    before = path.read_bytes()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpickled in our process"))

    first = read_weights(path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("converted again"))
    second = read_weights(path)

    assert path.read_bytes() == before
    assert all(torch.equal(first[name], STATE[name]) for name in STATE)
    assert all(torch.equal(second[name], STATE[name]) for name in STATE)
    assert [first[name].dtype for name in STATE] == [torch.float32, torch.float16]


def test_an_altered_twin_in_the_cache_is_refused_and_made_anew(tmp_path: Path, cache: Path) -> None:
    torch.save(STATE, tmp_path / "own.pth")
    read_weights(tmp_path / "own.pth")
    (twin,) = cache.glob("*.safetensors")
    save_file({"a": torch.zeros(4)}, twin)

    with pytest.raises(WeightsError, match="SHA-256 differs"):
        read_weights(tmp_path / "own.pth")

    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {}}, "epoch": 3},
        {"model_state_dict": STATE},
        OrderedDict((f"module.{name}", tensor) for name, tensor in STATE.items()),
        {"state_dict": {f"_orig_mod.{name}": tensor for name, tensor in STATE.items()}},
        {**STATE, "mask_values": [0, 1]},
    ],
)
def test_a_state_dict_is_found_in_the_usual_wrappings(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "own.pth")

    convert(tmp_path / "own.pth", tmp_path / "out")

    found = load_file(tmp_path / "out")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_tied_and_strided_tensors_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    torch.save(
        {"tied": base, "twin": base, "turned": base.T, "part": base[1:]}, tmp_path / "own.pth"
    )

    convert(tmp_path / "own.pth", tmp_path / "out")

    found = load_file(tmp_path / "out")
    assert torch.equal(found["tied"], base)
    assert torch.equal(found["twin"], base)
    assert torch.equal(found["turned"], base.T)
    assert torch.equal(found["part"], base[1:])


@pytest.mark.filterwarnings("ignore:Validating sparse")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"epoch": 3}, "no tensors by name"),
        ([torch.ones(2)], "no tensors by name"),
        (torch.ones(2), "no tensors by name"),
        ({1: torch.ones(2)}, "no tensors by name"),
        ({"a": torch.ones(1).expand(1 << 40)}, "more elements than the file holds"),
        ({"a": torch.ones(2, 2).to_sparse()}, "no plain tensor"),
        ({"model": STATE, "args": Namespace(lr=1)}, "Weights only load failed"),
    ],
)
def test_what_is_no_set_of_tensors_is_refused(content: object, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "own.pth")

    with pytest.raises(RefusedError, match=reason):
        convert(tmp_path / "own.pth", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 no archive", b"text\n" * 99])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(content)

    with pytest.raises(RefusedError):
        convert(tmp_path / "own.pth", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{"])
def test_a_damaged_safetensors_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(content)

    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        read_weights(tmp_path / "own.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file .*own\.pth"):
        read_weights(tmp_path / "own.pth")


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").touch()

    with pytest.raises(WeightsError, match="no weights file by its name"):
        read_weights(tmp_path / "own.onnx")


def test_the_converter_imports_nothing_of_zoo_and_unpickles_explicitly() -> None:
    source = Path(_convert.__file__).read_text()

    assert "import zoo" not in source
    assert "from zoo" not in source
    assert source.count("torch.load(") == source.count("weights_only=True)") == 1


def test_a_conversion_that_dies_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(STATE, tmp_path / "own.pth")
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(WeightsError, match="the converter died"):
        read_weights(tmp_path / "own.pth")
