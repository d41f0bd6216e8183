"""Segmentation from folders to answers: training, exact resume, evaluation and prediction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.cards import InputSpec, ModelCard
from zoo.config import Layer
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry, default_registry
from zoo.structures import Tiling
from zoo.training import Callback, Trainer
from zoo.workflows import evaluate, plan_training, run_training

LogOf = Callable[[Path], list[dict[str, Any]]]
StateOf = Callable[[Path], dict[str, torch.Tensor]]
FailAt = Callable[[int], Callback]

SIZES = [(17, 23), (40, 31), (32, 32), (25, 48), (9, 64), (33, 20)]


def dense(*, num_classes: int, in_channels: int = 3) -> nn.Module:
    """Down and up once, with batch norm and dropout."""
    network = nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, num_classes, 2, 2),
    )
    network.tiling = Tiling(stride=2, context_px=6)  # type: ignore[assignment]
    return network


def plain(*, num_classes: int, in_channels: int = 3) -> nn.Module:
    """Without batch norm and dropout, which see other images in a micro-batch."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, num_classes, 1)
    )


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Core and one network, for scripts and for the command line."""
    cards = tuple(
        ModelCard(
            name=name,
            summary="for this test",
            factory=f"{__name__}:{name}",
            task="segmentation",
            num_params=0,
            gmacs=0.0,
            num_classes=3,
            input=InputSpec(size_px=16, resize_px=None),
        )
        for name in ("dense", "plain")
    )
    mine = Plugin(
        name="tiny", distribution="zoo-tiny", version="1", target=__name__, cards={"model": cards}
    )
    plugins = [*load_plugins(found=[]), mine]
    monkeypatch.setattr("zoo.registry.load_plugins", lambda *_, **__: plugins)
    default_registry.cache_clear()
    yield default_registry()
    default_registry.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of several sizes: a red and a blue rectangle, one px of ignored edge."""
    root = tmp_path / "shapes"
    for number in range(12):
        height, width = SIZES[number % len(SIZES)]
        draw = np.random.default_rng(number)
        image = draw.integers(0, 60, (height, width, 3)).astype(np.uint8)
        mask = np.zeros((height, width), dtype=np.uint8)
        for index, channel in ((1, 0), (2, 2)):
            top, left = draw.integers(0, height - 6), draw.integers(0, width - 6)
            place = slice(top, top + 6), slice(left, left + 6)
            image[(*place, channel)] = 220
            mask[place] = index
        mask[0] = 255
        for name, pixels in (("images", image), ("masks", mask)):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "classes.txt").write_text("0 ground\n1 red\n2 blue\n3 never\n")
    return root


def config(folder: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": {"name": "dense"},
        "data": {"source": str(folder), "workers": 0},
        "transforms": {"scale": [0.7, 1.4], "rotate_deg": 30.0, "elastic_px": 2.0, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 0.02},
        "training": {"epochs": 2, "batch_size": 4, "save_every": 1},
        "machine": {"device": "cpu", "precision": "fp32", "threads": 1},
    }
    return {
        **settings,
        **{name: {**settings.get(name, {}), **keys} for name, keys in sections.items()},
    }


def train(
    settings: Mapping[str, Any], output: Path, registry: Registry, *callbacks: Callback
) -> None:
    plan = plan_training([Layer("test", settings)], registry=registry)
    run_training(plan, output=output, callbacks=callbacks, registry=registry)


@pytest.mark.parametrize("loss", ["cross_entropy+dice", "border"])
@pytest.mark.parametrize("step", [1, 4])
def test_a_broken_run_resumes_to_the_same_bits(
    tmp_path: Path,
    folder: Path,
    registry: Registry,
    loss: str,
    step: int,
    log_of: LogOf,
    state_of: StateOf,
    fail_at: FailAt,
) -> None:
    settings = config(folder, task={"loss": loss})
    train(settings, tmp_path / "whole", registry)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "cut", registry, fail_at(step))

    plan = plan_training([], resume=tmp_path / "cut", registry=registry)
    run_training(plan, resume=tmp_path / "cut", registry=registry)

    torch.testing.assert_close(
        state_of(tmp_path / "cut"), state_of(tmp_path / "whole"), rtol=0, atol=0, equal_nan=True
    )
    assert log_of(tmp_path / "cut")[-1] == log_of(tmp_path / "whole")[-1]


@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy+dice", "focal", "border"])
def test_micro_batches_add_up_to_the_batch(
    tmp_path: Path, folder: Path, registry: Registry, loss: str, log_of: LogOf
) -> None:
    def run(name: str, **training: int) -> dict[str, Any]:
        settings = config(
            folder,
            model={"name": "plain"},
            task={"loss": loss},
            training={"epochs": 2, "batch_size": 5, **training},
        )
        train(settings, tmp_path / name, registry)
        return {k: v for k, v in log_of(tmp_path / name)[-1].items() if k != "event"}

    whole, parts = run("whole"), run("parts", micro_batch_size=2)

    assert parts == pytest.approx(whole, rel=1e-4)


class RunOutOfMemory(Callback):
    """Memory runs out in the backward pass of the first micro-batch, at its last gradient."""

    def on_fit_start(self, trainer: Trainer) -> None:
        first = next(p for p in trainer.model.parameters() if p.requires_grad)
        handle = first.register_hook(lambda _: self._fail(handle))

    def _fail(self, handle: Any) -> None:
        handle.remove()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("model", ["plain", "dense"])
@pytest.mark.parametrize("loss", ["cross_entropy+dice", "border"])
def test_a_run_out_of_memory_is_the_run_with_smaller_micro_batches(
    tmp_path: Path, folder: Path, registry: Registry, model: str, loss: str, state_of: StateOf
) -> None:
    settings = config(folder, model={"name": model}, task={"loss": loss})
    smaller = config(
        folder, model={"name": model}, task={"loss": loss}, training={"micro_batch_size": 2}
    )

    train(settings, tmp_path / "short", registry, RunOutOfMemory())
    train(smaller, tmp_path / "small", registry)

    torch.testing.assert_close(
        state_of(tmp_path / "short"), state_of(tmp_path / "small"), rtol=0, atol=0, equal_nan=True
    )


def test_every_batch_size_gives_the_same_scores(
    tmp_path: Path, folder: Path, registry: Registry
) -> None:
    train(config(folder), tmp_path / "run", registry)

    scores = [
        evaluate(
            tmp_path / "run",
            data=str(folder),
            split="all",
            batch_size=size,
            confusion=True,
            registry=registry,
        )
        for size in (1, 3, 8)
    ]

    first = scores[0]
    assert [of.confusion for of in scores] == [first.confusion] * 3
    assert [of.metrics["boundary_f1"] for of in scores] == [first.metrics["boundary_f1"]] * 3
    assert [of.metrics["loss"] for of in scores] == pytest.approx([first.metrics["loss"]] * 3)
    pixels = sum((height - 1) * width for height, width in SIZES)
    assert sum(map(sum, first.confusion or ())) == 2 * pixels


def test_the_command_line_trains_scores_and_answers(
    tmp_path: Path, folder: Path, registry: Registry, zoo: Any
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    image = folder / "images/1.png"
    options = [f"--set={key}" for key in ("training.save_every=none", "machine.threads=1")]

    trained = zoo(
        "train", "plain", "--data", folder, "--output", run, "--epochs", 12, "--learning-rate",
        0.03, "--batch-size", 2, "--workers", 0, "--device", "cpu", *options,
    )  # fmt: skip
    scored = zoo("eval", run, "--per-class", "--precision", "fp32")
    told = json.loads(zoo("eval", run, "--json").out)
    shown = zoo("predict", run, image, folder / "images/4.png", "--save", out)
    document = json.loads(zoo("predict", run, image, "--json").out)

    assert [o.code for o in (trained, scored, shown)] == [0, 0, 0], trained.err + scored.err
    assert "best val/miou" in trained.err + trained.out
    assert "never" in scored.err
    rows = {line.split()[0]: line.split() for line in scored.out.splitlines() if line}
    assert rows["never"][1] == "-"
    assert told["per_class"]["never"]["iou"] is None
    assert told["metrics"]["miou"] > 0.4
    assert sorted(path.name for path in out.iterdir()) == [
        "1-mask.png", "1.png", "4-mask.png", "4.png",
    ]  # fmt: skip
    mask = Image.open(out / "1-mask.png")
    assert (mask.mode, mask.size) == ("P", (31, 40))
    assert set(np.unique(np.asarray(mask))) <= {0, 1, 2, 3}
    [answer] = document["images"]
    assert (answer["height_px"], answer["width_px"], answer["exact"]) == (40, 31, True)
    assert sum(of["pixels"] for of in answer["classes"]) == 40 * 31
    assert shown.out.splitlines()[0].startswith(f"{image}  ground ")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_check_shows_what_masks_hold(
    folder: Path, registry: Registry, zoo: Any, form: list[str]
) -> None:
    checked = zoo("data", "check", folder, *form)

    assert checked.code == 1
    assert "0 ground, 1 red, 2 blue, 3 never" in checked.out
    assert "no training images of never" in checked.out


def test_a_bad_mask_ends_the_command_before_anything_is_written(
    tmp_path: Path, folder: Path, registry: Registry, zoo: Any
) -> None:
    (folder / "masks/3.png").write_bytes(b"")

    failed = zoo("train", "dense", "--data", folder, "--output", tmp_path / "run")
    skipped = zoo(
        "train", "dense", "--data", folder, "--output", tmp_path / "other", "--epochs", 1,
        "--on-bad-image", "skip", "--workers", 0, "--device", "cpu",
    )  # fmt: skip

    assert failed.code == 2
    assert "3.png is empty" in failed.err
    assert not (tmp_path / "run").exists()
    assert skipped.code == 0, skipped.err


def test_a_benchmark_has_images_of_the_size_that_is_asked_for(registry: Registry, zoo: Any) -> None:
    measured = zoo(
        "benchmark", "dense", "--image-size", 24, "--batch-size", 2, "--rounds", 1, "--json"
    )

    document = json.loads(measured.out)
    assert measured.code == 0, measured.err
    assert document["image_size_px"] == 24
    assert all(speed["images_per_s"] > 0 for speed in document["speeds"])
