"""The record of a set of weights survives JSON, and refuses what it cannot read."""

import json

import pytest

from zoo.cards import InputSpec
from zoo.errors import CheckpointError
from zoo.inference import ModelRecord


def _record() -> ModelRecord:
    return ModelRecord(
        model="tiny:tiny",
        distribution="zoo-tiny",
        version="1.0",
        options={"width": 8},
        num_classes=2,
        in_channels=1,
        classes=("Katze", "犬"),
        input=InputSpec(channels=1, size_px=8, resize_px=None, mean=(0.5,), std=(0.25,)),
        task="core:classification",
        task_options={"label_smoothing": 0.1},
        metrics={"val/top1": 0.5},
        ema=True,
        step=7,
        epoch=2,
    )


def test_a_record_survives_json_unchanged() -> None:
    text = json.dumps(_record().to_json())

    assert ModelRecord.from_json(json.loads(text)) == _record()


def test_keys_of_others_beside_the_record_are_left_alone() -> None:
    values = {**_record().to_json(), "monitor": "val/top1"}

    assert ModelRecord.from_json(values) == _record()


@pytest.mark.parametrize("format_", [None, 0, 2])
def test_another_format_is_refused(format_: int | None) -> None:
    with pytest.raises(CheckpointError, match="format"):
        ModelRecord.from_json({**_record().to_json(), "format": format_})


@pytest.mark.parametrize("missing", ["model", "classes", "input", "num_classes"])
def test_a_missing_key_is_named(missing: str) -> None:
    values = _record().to_json()
    del values[missing]

    with pytest.raises(CheckpointError, match=missing):
        ModelRecord.from_json(values)


def test_an_input_that_contradicts_itself_is_refused() -> None:
    values = _record().to_json()
    values["input"]["channels"] = 3

    with pytest.raises(CheckpointError, match="mean and std"):
        ModelRecord.from_json(values)
