"""The examples in the docstrings of what works with a run do what they say."""

import doctest
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from zoo.checkpoint import save_best
from zoo.config import Layer, dump_config, resolve
from zoo.inference import ModelRecord, load_run
from zoo.workflows import evaluate, export

WEIGHTS = {
    "2.weight": torch.tensor([[-3.0, 0.0, 3.0], [3.0, 0.0, -3.0]]),
    "2.bias": torch.zeros(2),
}


@pytest.fixture
def pets(
    tiny_run: Path, photos: Path, record: ModelRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of the examples: its cats are blue and its dogs are red."""
    folder = tiny_run.parent
    for split in ("train", "val"):
        (photos / split / "blau").rename(photos / split / "cat")
        (photos / split / "rot").rename(photos / split / "dog")
    save_best(tiny_run / "best", WEIGHTS, replace(record, classes=("cat", "dog")).to_json())
    config = {"model": {"name": "tiny"}, "data": {"source": str(photos)}}
    (tiny_run / "config.toml").write_text(dump_config(resolve([Layer("test", config)])))
    Image.new("RGB", (9, 9), "blue").save(folder / "cat.png")
    Image.new("RGB", (9, 9), "red").save(folder / "dog.png")
    (folder / "runs").mkdir()
    shutil.move(tiny_run, folder / "runs/pets")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("function", [load_run, evaluate, export])
def test_the_examples_hold(
    pets: None, function: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__)

    result = doctest.DocTestRunner().run(found)

    assert result.attempted >= 3
    assert result.failed == 0
