"""Damaged and hostile checkpoints: found before any tensor is used, and what happens then."""

import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch

from zoo.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from zoo.checkpoint._manifest import FileFacts, Manifest
from zoo.checkpoint._tensors import TensorFacts
from zoo.errors import CheckpointError, StorageError

RELEASED = Path(__file__).parent / "released"
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
VALUES = {"epoch": 2, "best": 0.5}


@pytest.fixture
def checkpoints(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, TENSORS, VALUES, keep_last=3)
    return tmp_path


def loads(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except CheckpointError:
        return False
    return True


def accepted(folder: Path, file: Path, contents) -> list:
    """The keys of those contents with which the checkpoint still loads."""
    original = file.read_bytes()
    survivors = []
    for key, content in contents:
        file.write_bytes(content)
        if loads(folder):
            survivors.append(key)
    file.write_bytes(original)
    assert loads(folder)
    return survivors


def with_byte(content: bytes, offset: int, value: int) -> bytes:
    return content[:offset] + bytes([value]) + content[offset + 1 :]


@pytest.mark.parametrize("name", ["manifest.json", "tensors-*", "values-*"])
@pytest.mark.parametrize("bit", [0, 5])
def test_a_flipped_bit_is_found_at_every_byte(checkpoints, name, bit):
    folder = checkpoints / "step-3"
    (file,) = folder.glob(name)
    content = file.read_bytes()
    flipped = (
        (offset, with_byte(content, offset, content[offset] ^ (1 << bit)))
        for offset in range(len(content))
    )

    assert accepted(folder, file, flipped) == []


@pytest.mark.parametrize("value", [0x20, 0x0A])
def test_white_space_in_the_manifest_is_checked_too(checkpoints, value):
    folder = checkpoints / "step-3"
    file = folder / "manifest.json"
    content = file.read_bytes()
    changed = (
        (offset, with_byte(content, offset, value))
        for offset in range(len(content))
        if content[offset] != value
    )

    assert accepted(folder, file, changed) == []


@pytest.mark.parametrize("name", ["manifest.json", "tensors-*", "values-*"])
def test_a_file_cut_at_any_length_is_found(checkpoints, name):
    folder = checkpoints / "step-3"
    (file,) = folder.glob(name)
    content = file.read_bytes()

    assert accepted(folder, file, ((n, content[:n]) for n in range(len(content)))) == []


@pytest.mark.parametrize("name", ["manifest.json", "tensors-*", "values-*"])
def test_a_longer_file_is_found(checkpoints, name):
    folder = checkpoints / "step-3"
    (file,) = folder.glob(name)
    content = file.read_bytes()

    assert accepted(folder, file, [("longer", content + b"\n")]) == []


@pytest.mark.parametrize("name", ["manifest.json", "tensors-*", "values-*"])
def test_a_missing_file_is_named(checkpoints, name):
    (file,) = (checkpoints / "step-3").glob(name)
    file.unlink()

    with pytest.raises(CheckpointError, match=f"{file.name} is missing"):
        load_checkpoint(checkpoints / "step-3")


def test_a_file_of_another_checkpoint_is_found(checkpoints, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save_checkpoint(other, 3, {**TENSORS, "steps": torch.tensor(8)}, VALUES, keep_last=2)
    (theirs,) = (other / "step-3").glob("tensors-*")
    (ours,) = (checkpoints / "step-3").glob("tensors-*")
    shutil.copy(theirs, ours)

    with pytest.raises(CheckpointError, match="its SHA-256 does not match"):
        load_checkpoint(checkpoints / "step-3")


def test_a_link_in_the_place_of_a_file_is_refused(checkpoints):
    (file,) = (checkpoints / "step-3").glob("tensors-*")
    moved = file.rename(checkpoints / "elsewhere")
    file.symlink_to(moved)

    with pytest.raises(CheckpointError, match="is no file"):
        load_checkpoint(checkpoints / "step-3")


@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_checkpoints_are_kept_aside_loudly_and_an_older_one_is_used(checkpoints, damaged):
    broken = ["step-3", "step-2"][:damaged]
    _damage(checkpoints, *broken)
    warnings = []

    newest = latest_checkpoint(checkpoints, warn=warnings.append)

    assert newest.step == 3 - damaged
    assert len(warnings) == damaged
    assert "SHA-256 does not match; kept as .corrupt-step-3" in warnings[0]
    assert sorted(p.name for p in checkpoints.glob(".corrupt-*")) == sorted(
        f".corrupt-{name}" for name in broken
    )


def test_when_all_are_damaged_the_run_fails_and_nothing_is_deleted(checkpoints):
    files = sum(len(files) for _, _, files in os.walk(checkpoints))
    _damage(checkpoints, "step-1", "step-2", "step-3")

    with pytest.raises(CheckpointError, match=r"no checkpoint in .* verifies") as error:
        latest_checkpoint(checkpoints, warn=lambda _: None)

    assert error.value.exit_code == 1
    assert sum(len(files) for _, _, files in os.walk(checkpoints)) == files


def test_a_run_whose_checkpoints_were_all_damaged_does_not_start_anew_by_itself(checkpoints):
    _damage(checkpoints, "step-1", "step-2", "step-3")
    with pytest.raises(CheckpointError):
        latest_checkpoint(checkpoints, warn=lambda _: None)

    with pytest.raises(CheckpointError, match=r"no checkpoint in .* verifies"):
        latest_checkpoint(checkpoints, warn=pytest.fail)


def test_the_same_step_can_be_damaged_twice(checkpoints):
    _damage(checkpoints, "step-3")
    latest_checkpoint(checkpoints, warn=lambda _: None)
    save_checkpoint(checkpoints, 3, TENSORS, VALUES, keep_last=3)
    _damage(checkpoints, "step-3")

    newest = latest_checkpoint(checkpoints, warn=lambda _: None)

    assert newest.step == 2
    assert len(list(checkpoints.glob(".corrupt-step-3*"))) == 2


def test_damaged_checkpoints_do_not_count_among_the_last_ones(checkpoints):
    _damage(checkpoints, "step-3")
    latest_checkpoint(checkpoints, warn=lambda _: None)

    save_checkpoint(checkpoints, 4, TENSORS, VALUES, keep_last=2)

    assert {p.name for p in checkpoints.glob("*step-*")} == {".corrupt-step-3", "step-2", "step-4"}


def test_in_a_folder_that_cannot_be_written_the_older_one_is_used_all_the_same(
    checkpoints, monkeypatch
):
    _damage(checkpoints, "step-3")
    monkeypatch.setattr(os, "rename", _refuse)

    assert latest_checkpoint(checkpoints, warn=lambda _: None).step == 2


def test_in_a_folder_that_cannot_be_written_damaged_checkpoints_are_not_no_checkpoints(
    checkpoints, monkeypatch
):
    _damage(checkpoints, "step-1", "step-2", "step-3")
    monkeypatch.setattr(os, "rename", _refuse)

    with pytest.raises(CheckpointError, match=r"no checkpoint in .* verifies"):
        latest_checkpoint(checkpoints, warn=lambda _: None)


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(checkpoints, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", _refuse)

    with pytest.raises(StorageError, match="permission denied"):
        latest_checkpoint(checkpoints, warn=pytest.fail)

    assert list(checkpoints.glob(".corrupt-*")) == []


def test_a_newer_format_asks_for_an_upgrade_and_is_left_alone(checkpoints):
    path = checkpoints / "step-3" / "manifest.json"
    fields = json.loads(path.read_text()) | {"version": 2, "sha256": ""}
    text = json.dumps(fields, indent=1) + "\n"
    fields["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(fields, indent=1) + "\n")

    with pytest.raises(CheckpointError, match="format 2, newer than 1\nUpgrade"):
        latest_checkpoint(checkpoints, warn=pytest.fail)

    assert (checkpoints / "step-3").is_dir()


def _header(entries: dict) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


F32 = {"dtype": "F32", "shape": [2]}
HOSTILE = {
    "empty file": b"",
    "header longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "header length overflows": b"\xff" * 8 + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"\x80\x04N.",
    "deep nesting": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "offsets beyond the file": _header({"w": {**F32, "data_offsets": [0, 8]}}),
    "terabytes declared": _header(
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ),
    "shape overflows": _header(
        {"w": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 0]}}
    ),
    "overlap": _header(
        {"w": {**F32, "data_offsets": [0, 8]}, "v": {**F32, "data_offsets": [4, 12]}}
    )
    + bytes(12),
    "unknown dtype": _header({"w": {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]}})
    + bytes(8),
    "another shape": _header({"w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}})
    + bytes(8),
    "another dtype": _header({"w": {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}})
    + bytes(8),
    "one tensor more": _header(
        {"w": {**F32, "data_offsets": [0, 8]}, "x": {**F32, "data_offsets": [8, 16]}}
    )
    + bytes(16),
    "another name": _header({"v": {**F32, "data_offsets": [0, 8]}}) + bytes(8),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_tensor_file_with_a_matching_hash_is_refused(tmp_path, content):
    _forge(tmp_path, content, b"{}", {"w": TensorFacts("F32", (2,))})

    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(tmp_path)


HOSTILE_VALUES = {
    "no object": b"[]",
    "no number": b"NaN",
    "cut": b"{",
    "deep nesting": b"[" * 100_000,
    "endless digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "no text": b"\xff",
}


@pytest.mark.parametrize("content", HOSTILE_VALUES.values(), ids=HOSTILE_VALUES.keys())
def test_hostile_values_with_a_matching_hash_are_refused(tmp_path, content):
    _forge(tmp_path, _header({}), content, {})

    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "", "..", "a\nb"])
def test_a_manifest_names_files_of_its_own_folder_only(tmp_path, name):
    facts = FileFacts(name, 0, "0" * 64)
    manifest = Manifest(1, {"tensors": facts, "values": facts}, {})
    (tmp_path / "manifest.json").write_bytes(manifest.to_bytes())

    with pytest.raises(CheckpointError, match="is no manifest"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": True},
        {"files": {}},
        {"tensors": []},
        {"tensors": {"w": {"shape": 3}}},
    ],
)
def test_a_manifest_with_a_right_hash_and_wrong_fields_is_refused(checkpoints, change):
    path = checkpoints / "step-3" / "manifest.json"
    fields = json.loads(path.read_text()) | change | {"sha256": ""}
    fields["sha256"] = hashlib.sha256((json.dumps(fields, indent=1) + "\n").encode()).hexdigest()
    path.write_text(json.dumps(fields, indent=1) + "\n")

    with pytest.raises(CheckpointError, match="is no manifest"):
        load_checkpoint(path.parent)


def test_a_checkpoint_of_the_first_release_loads():
    loaded = load_checkpoint(RELEASED / "0.1.0" / "step-12")

    assert loaded.step == 12
    assert loaded.values == {"epoch": 2, "best": 0.984375, "worst": float("inf"), "seed": 2**70}
    assert loaded.tensors["model/weight"].tolist() == [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]
    assert loaded.tensors["model/half"].tolist() == [1.0, -2.0]
    assert loaded.tensors["model/half"].dtype == torch.bfloat16
    assert loaded.tensors["random/0/torch"].tolist() == [0, 127, 255]
    assert loaded.tensors["flag"].item() is True


def _damage(checkpoints: Path, *names: str) -> None:
    """Flip the last bit of the tensors of some checkpoints."""
    for name in names:
        (file,) = (checkpoints / name).glob("tensors-*")
        content = file.read_bytes()
        file.write_bytes(with_byte(content, len(content) - 1, content[-1] ^ 1))


def _forge(folder: Path, tensors: bytes, values: bytes, facts: dict) -> None:
    files = {}
    for role, content in (("tensors", tensors), ("values", values)):
        (folder / role).write_bytes(content)
        files[role] = FileFacts(role, len(content), hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_bytes(Manifest(1, files, facts).to_bytes())


def _refuse(*_args, **_kwargs):
    raise PermissionError(13, "Permission denied")
