"""A plugin with a model that knows red from blue, photos of both, and a run of it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from zoo.cards import InputSpec
from zoo.checkpoint import save_best, save_checkpoint
from zoo.cli._main import run as run_words
from zoo.config import Layer, dump_config, resolve
from zoo.inference import ModelRecord
from zoo.registry import default_registry
from zoo.runs import RunFolder

PLUGIN = """
from dataclasses import replace
from pathlib import Path
from zoo import InputSpec, WeightsCard

WEIGHTS = WeightsCard(
    name="colours", url="https://example.org/colours.safetensors",
    sha256=Path(__file__).with_name("colours.sha256").read_text(), classes="zoo_tiny_data:classes",
    preprocess=InputSpec(size_px=8, resize_px=None), metrics={"top1": 1.0},
)

UNBIASED = replace(
    WEIGHTS, name="unbiased", url="https://example.org/unbiased.safetensors",
    sha256=Path(__file__).with_name("unbiased.sha256").read_text(), options={"bias": False},
)

@hookimpl
def zoo_models():
    return [ModelCard(
        name="tiny", summary="mean colours", factory="zoo_tiny:tiny", task="classification",
        num_params=8, gmacs=0.0, num_classes=2, input=InputSpec(size_px=8, resize_px=None),
        weights=(WEIGHTS, UNBIASED),
    )]

def tiny(*, num_classes, in_channels=3, bias=True):
    from torch import nn
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes, bias=bias)
    )
"""
RED, BLUE = (220, 20, 20), (20, 20, 220)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def plugin(site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Core and the tiny plugin, whatever else is installed, and its weights fetched by hand."""
    tensors = red_and_blue()
    weights = {"colours": save(tensors), "unbiased": save({"2.weight": tensors["2.weight"]})}
    for name, data in weights.items():
        (site.folder / f"{name}.sha256").write_text(hashlib.sha256(data).hexdigest()[:8])
    (site.folder / "zoo_tiny_data").mkdir()
    (site.folder / "zoo_tiny_data/__init__.py").touch()
    (site.folder / "zoo_tiny_data/classes").write_text("blau\nrot\n")
    cache = site.folder.parent / "cache"
    (cache / "weights").mkdir(parents=True)
    for name, data in weights.items():
        (cache / f"weights/{name}.safetensors").write_bytes(data)
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    site.install("zoo-tiny", PLUGIN, name="tiny")
    monkeypatch.setenv("ZOO_PLUGINS", "tiny")
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two red and one blue image to train on, three and two to evaluate on."""
    root = tmp_path / "photos"
    counts = {("train", "blau"): 1, ("train", "rot"): 2, ("val", "blau"): 2, ("val", "rot"): 3}
    for (split, name), count in counts.items():
        folder = root / split / name
        folder.mkdir(parents=True)
        for number in range(count):
            colour = {"rot": RED, "blau": BLUE}[name]
            Image.new("RGB", (20 + number, 30), colour).save(folder / f"{number}.png")
    return root


def red_and_blue() -> dict[str, torch.Tensor]:
    """Weights that tell blue (label 0) from red (label 1)."""
    return {
        "2.weight": torch.tensor([[-3.0, 0.0, 3.0], [3.0, 0.0, -3.0]]),
        "2.bias": torch.zeros(2),
    }


@pytest.fixture
def record() -> ModelRecord:
    return ModelRecord(
        model="tiny:tiny",
        distribution="zoo-tiny",
        version="0.1",
        num_classes=2,
        in_channels=3,
        classes=("blau", "rot"),
        input=InputSpec(size_px=8, resize_px=None),
        task="core:classification",
        metrics={"val/top1": 1.0},
        step=6,
        epoch=2,
    )


@pytest.fixture
def tiny_run(plugin: None, tmp_path: Path, photos: Path, record: ModelRecord) -> Path:
    """A run whose best weights are right, and whose newest ones say the opposite."""
    folder = RunFolder.create(tmp_path / "run", model="tiny", dataset="photos")
    config = {"model": {"name": "tiny"}, "data": {"source": str(photos)}}
    folder.write_text("config.toml", dump_config(resolve([Layer("test", config)])))
    save_best(folder.best, red_and_blue(), record.to_json())
    wrong = {f"model/{name}": -tensor for name, tensor in red_and_blue().items()}
    for step in (6, 9):
        values = {"record": replace(record, step=step, epoch=step // 3).to_json()}
        save_checkpoint(folder.checkpoints, step, wrong, values, keep_last=2)
    return folder.path


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run words of the command line in this process."""

    def outcome(*words: object) -> Outcome:
        capsys.readouterr()
        code = run_words([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return outcome
