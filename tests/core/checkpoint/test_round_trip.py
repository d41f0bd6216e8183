"""What a checkpoint gives back, and which checkpoints stay."""

import json
import math
import os
import pickle
import stat

import pytest
import torch
from safetensors.torch import load_file

from zoo.checkpoint import (
    latest_checkpoint,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    step_folders,
)
from zoo.errors import CheckpointError

TENSORS = {
    "model/weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "model/transposed": torch.arange(6.0).reshape(2, 3).t(),
    "model/tied": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "model/empty": torch.zeros(0, 5),
    "sums/count": torch.tensor(2**62),
    "sums/precise": torch.tensor([math.pi, -0.0], dtype=torch.float64),
    "ema/half": torch.tensor([1.5, -2.25, 3.0], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False, True]),
    "random/torch": torch.arange(16, dtype=torch.uint8),
}


@pytest.fixture
def checkpoints(tmp_path):
    return tmp_path / "checkpoints"


def save_steps(folder, *steps, keep_last):
    for step in steps:
        save_checkpoint(folder, step, {}, {"step": step}, keep_last=keep_last)


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_comes_back_bit_for_bit(checkpoints, name):
    folder = save_checkpoint(checkpoints, 3, TENSORS, {}, keep_last=2)

    tensor = load_checkpoint(folder).tensors[name]

    assert tensor.dtype == TENSORS[name].dtype
    assert tensor.shape == TENSORS[name].shape
    assert tensor.contiguous().view(-1).view(torch.uint8).tolist() == (
        TENSORS[name].contiguous().view(-1).view(torch.uint8).tolist()
    )


def test_the_safetensors_library_reads_what_was_written(checkpoints):
    folder = save_checkpoint(checkpoints, 3, TENSORS, {}, keep_last=2)

    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)

    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize(
    "value",
    [0.1, -0.0, 1e-320, math.inf, -math.inf, 2**64 + 1, True, None, "é\ud800\n", [], {"a": [1.0]}],
)
def test_a_json_value_comes_back_exactly(checkpoints, value):
    folder = save_checkpoint(checkpoints, 1, {}, {"value": value}, keep_last=2)

    loaded = load_checkpoint(folder).values["value"]

    assert repr(loaded) == repr(value)


def test_a_nan_comes_back_as_a_nan(checkpoints):
    folder = save_checkpoint(checkpoints, 1, {}, {"best": math.nan}, keep_last=2)

    assert math.isnan(load_checkpoint(folder).values["best"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: "a"}, r"value\['x'\] has the key 1"),
        ({"$float": "nan"}, "stands for NaN"),
        (torch.ones(1), r"value\['x'\] is a Tensor"),
        ({"deep": [object()]}, r"value\['x'\]\['deep'\]\[0\] is a object"),
    ],
)
def test_a_value_that_json_would_change_is_refused_and_nothing_is_written(
    checkpoints, value, reason
):
    with pytest.raises(TypeError, match=reason):
        save_checkpoint(checkpoints, 1, {}, {"x": value}, keep_last=2)

    assert not checkpoints.exists()


def test_a_dtype_that_safetensors_lacks_is_refused(checkpoints):
    with pytest.raises(TypeError, match=r"'wide' of torch\.complex128"):
        save_checkpoint(
            checkpoints, 1, {"wide": torch.ones(1, dtype=torch.complex128)}, {}, keep_last=2
        )

    assert step_folders(checkpoints) == []


def test_saving_and_loading_uses_no_pickle(checkpoints, monkeypatch):
    monkeypatch.setattr(pickle, "dumps", pytest.fail)
    monkeypatch.setattr(pickle, "loads", pytest.fail)
    monkeypatch.setattr(torch, "save", pytest.fail)
    monkeypatch.setattr(torch, "load", pytest.fail)

    folder = save_checkpoint(checkpoints, 1, TENSORS, {"a": 1}, keep_last=2)

    assert load_checkpoint(folder).values == {"a": 1}


def test_the_last_k_checkpoints_stay(checkpoints):
    save_steps(checkpoints, 9, 10, 11, 100, keep_last=2)

    names = sorted(path.name for path in checkpoints.iterdir())

    assert names == ["step-100", "step-11"]


def test_the_newest_is_the_one_with_the_most_steps(checkpoints):
    save_steps(checkpoints, 9, 10, 100, 20, keep_last=9)

    newest = latest_checkpoint(checkpoints, warn=pytest.fail)

    assert (newest.step, newest.values["step"], newest.path) == (100, 100, checkpoints / "step-100")


def test_a_step_that_is_saved_again_has_the_new_state(checkpoints):
    save_checkpoint(checkpoints, 5, {"a": torch.zeros(2)}, {"epoch_ended": False}, keep_last=2)

    folder = save_checkpoint(
        checkpoints, 5, {"a": torch.ones(2)}, {"epoch_ended": True}, keep_last=2
    )

    loaded = load_checkpoint(folder)
    assert loaded.values == {"epoch_ended": True}
    assert loaded.tensors["a"].tolist() == [1.0, 1.0]
    assert len(list(folder.iterdir())) == 3


def test_a_run_without_checkpoints_has_no_latest(checkpoints):
    assert latest_checkpoint(checkpoints, warn=pytest.fail) is None


def test_a_loaded_state_is_not_changed_by_the_next_save(checkpoints):
    folder = save_checkpoint(checkpoints, 1, {"a": torch.ones(1000)}, {}, keep_last=1)
    loaded = load_checkpoint(folder)

    save_checkpoint(checkpoints, 1, {"a": torch.zeros(1000)}, {}, keep_last=1)
    save_checkpoint(checkpoints, 2, {"a": torch.zeros(1000)}, {}, keep_last=1)

    assert loaded.tensors["a"].sum() == 1000


def test_a_deletion_that_fails_ends_no_run(checkpoints, monkeypatch):
    save_checkpoint(checkpoints, 1, {}, {}, keep_last=1)
    monkeypatch.setattr(os, "rmdir", _refuse)

    save_checkpoint(checkpoints, 2, {}, {}, keep_last=1)

    assert [path.name for path in step_folders(checkpoints)] == ["step-2"]
    monkeypatch.undo()
    save_checkpoint(checkpoints, 3, {}, {}, keep_last=1)
    assert [path.name for path in checkpoints.iterdir()] == ["step-3"]


def test_files_have_the_mode_that_the_umask_allows(checkpoints):
    before = os.umask(0o027)
    try:
        folder = save_checkpoint(checkpoints, 1, TENSORS, {}, keep_last=2)
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


def test_best_weights_are_replaced(tmp_path):
    best = tmp_path / "best"
    save_best(best, {"w": torch.zeros(2)}, {"step": 10, "metrics": {"val/top1": 0.5}})

    save_best(best, {"w": torch.ones(2)}, {"step": 20, "metrics": {"val/top1": 0.75}})

    loaded = load_best(best)
    assert (loaded.step, loaded.values["metrics"]) == (20, {"val/top1": 0.75})
    assert loaded.tensors["w"].tolist() == [1.0, 1.0]
    assert len(list(best.iterdir())) == 3


def test_a_run_that_was_never_evaluated_says_that_it_has_no_best(tmp_path):
    with pytest.raises(CheckpointError, match="no best weights yet"):
        load_best(tmp_path / "best")


def test_best_weights_that_are_replaced_while_they_are_read_are_read_anew(tmp_path, monkeypatch):
    best = tmp_path / "best"
    save_best(best, {}, {"step": 1})
    (values,) = best.glob("values-*")
    values.unlink()  # what a reader sees that read the old manifest just before a replacement
    real, seen = load_checkpoint, []

    def replaced_meanwhile(path):
        seen.append(path)
        if len(seen) == 1:
            save_best(best, {}, {"step": 2})
            raise CheckpointError("a file is missing")
        return real(path)

    monkeypatch.setattr("zoo.checkpoint._state.load_checkpoint", replaced_meanwhile)

    assert load_best(best).values == {"step": 2}


def test_the_manifest_names_every_file_and_tensor(checkpoints):
    folder = save_checkpoint(checkpoints, 7, TENSORS, {"a": 1}, keep_last=2)

    manifest = json.loads((folder / "manifest.json").read_text())

    assert (manifest["format"], manifest["version"], manifest["step"]) == ("zoo-checkpoint", 1, 7)
    assert {file["name"] for file in manifest["files"].values()} | {"manifest.json"} == {
        path.name for path in folder.iterdir()
    }
    assert manifest["tensors"]["model/weight"] == {"dtype": "F32", "shape": [3, 4]}


def _refuse(*_args, **_kwargs):
    raise PermissionError(1, "Operation not permitted")
