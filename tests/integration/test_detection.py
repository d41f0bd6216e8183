"""Detection from a folder to answers: training, exact resume, evaluation and prediction."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.config import Layer
from zoo.data.sources import open_source
from zoo.registry import default_registry
from zoo.tasks import DetectionTask
from zoo.training import Callback, Trainer
from zoo.workflows import evaluate, plan_training, run_training
from zoo.workflows._feed import Feed

LogOf = Callable[[Path], list[dict[str, Any]]]
StateOf = Callable[[Path], dict[str, torch.Tensor]]
FailAt = Callable[[int], Callback]

SIZES = [(40, 48), (64, 50), (48, 64)]
SMALL = {
    "name": "faster_rcnn_fpn",
    "backbone": "resnet20",
    "stages": ["layer2", "layer3"],
    "fpn_channels": 8,
    "anchor_sizes": [8, 16, 32],
    "head_width": 16,
    "proposals_train": 40,
    "proposals_test": 20,
    "samples": 16,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of several sizes with a red and a blue rectangle; the last one has none."""
    root = tmp_path / "shapes"
    root.mkdir()
    lines = ["path,xmin,ymin,xmax,ymax,class"]
    for number in range(12):
        height, width = SIZES[number % len(SIZES)]
        draw = np.random.default_rng(number)
        image = draw.integers(0, 60, (height, width, 3)).astype(np.uint8)
        for name, channel in (("red", 0), ("blue", 2)) * (number < 11):
            top, left = int(draw.integers(0, height - 14)), int(draw.integers(0, width - 14))
            image[top : top + 14, left : left + 14, channel] = 220
            lines.append(f"{number}.png,{left},{top},{left + 14},{top + 14},{name}")
        Image.fromarray(image).save(root / f"{number}.png")
    (root / "boxes.csv").write_text("\n".join([*lines, "11.png,,,,,"]) + "\n")
    return root / "boxes.csv"


def config(table: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": SMALL,
        "task": {"name": "detection"},
        "data": {"source": f"csv:{table}", "workers": 0, "image_size": 64},
        "transforms": {"scale": [0.7, 1.4], "crop": 0.5, "jitter": 0.2},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3},
        "training": {"epochs": 2, "batch_size": 3, "save_every": 1},
        "machine": {"device": "cpu", "precision": "fp32", "threads": 1},
    }
    return {
        **settings,
        **{name: {**settings.get(name, {}), **keys} for name, keys in sections.items()},
    }


def train(settings: Mapping[str, Any], output: Path, *callbacks: Callback) -> None:
    registry = default_registry()
    plan = plan_training([Layer("test", settings)], registry=registry)
    run_training(plan, output=output, callbacks=callbacks, registry=registry)


@pytest.mark.parametrize(("grouped", "most"), [(True, 1), (False, 3)])
def test_batches_hold_images_of_similar_ratios(folder: Path, grouped: bool, most: int) -> None:
    settings = config(folder, data={"group_by_ratio": grouped}, training={"batch_size": 3})
    registry = default_registry()
    plan = plan_training([Layer("test", settings)], registry=registry)
    source = open_source(plan.source, registry=registry, data=plan.config.data, message=print)
    task = DetectionTask(classes=source.classes)

    with closing(Feed(plan, source, task, device=torch.device("cpu"))) as feed:
        batches = list(feed.training().plan(0))

    names = [[int(source.splits["train"].path(key.index).stem) for key in of] for of in batches]
    upright = [{SIZES[name % len(SIZES)] == (64, 50) for name in of} for of in names]
    assert sum(map(len, names)) == len(source.splits["train"])
    assert sum(len(kinds) > 1 for kinds in upright) == most


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (5, 0), (4, 2)])
def test_a_broken_run_resumes_to_the_same_bits(
    tmp_path: Path,
    folder: Path,
    step: int,
    workers: int,
    log_of: LogOf,
    state_of: StateOf,
    fail_at: FailAt,
) -> None:
    settings = config(folder, data={"workers": workers}, transforms={"mosaic": 0.5})
    train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "cut", fail_at(step))

    plan = plan_training([], resume=tmp_path / "cut", registry=default_registry())
    run_training(plan, resume=tmp_path / "cut", registry=default_registry())

    torch.testing.assert_close(
        state_of(tmp_path / "cut"), state_of(tmp_path / "whole"), rtol=0, atol=0, equal_nan=True
    )
    assert log_of(tmp_path / "cut")[-1] == log_of(tmp_path / "whole")[-1]


class RunOutOfMemory(Callback):
    """Memory runs out in the backward pass of the first micro-batch, at its last gradient."""

    def on_fit_start(self, trainer: Trainer) -> None:
        first = next(p for p in trainer.model.parameters() if p.requires_grad)
        handle = first.register_hook(lambda _: self._fail(handle))

    def _fail(self, handle: Any) -> None:
        handle.remove()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_run_out_of_memory_is_the_run_with_smaller_micro_batches(
    tmp_path: Path, folder: Path, state_of: StateOf
) -> None:
    train(config(folder), tmp_path / "short", RunOutOfMemory())
    train(config(folder, training={"micro_batch_size": 2}), tmp_path / "small")

    torch.testing.assert_close(
        state_of(tmp_path / "short"), state_of(tmp_path / "small"), rtol=0, atol=0, equal_nan=True
    )
    assert json.loads((tmp_path / "short" / "result.json").read_text())["micro_batch_size"] == 2


def test_an_evaluation_alone_gives_what_training_measured_at_every_batch_size(
    tmp_path: Path, folder: Path, log_of: LogOf
) -> None:
    train(config(folder, training={"epochs": 6}), tmp_path / "run")

    scores = [
        evaluate(tmp_path / "run", batch_size=size, registry=default_registry()).metrics
        for size in (1, 2, 5)
    ]

    lines = [line for line in log_of(tmp_path / "run") if line.get("val/ap") is not None]
    best = max(lines, key=lambda line: line["val/ap"])
    known = {f"val/{name}": v for name, v in scores[0].items() if not math.isnan(v)}
    assert [pytest.approx(scores[0], rel=1e-6, nan_ok=True)] * 3 == scores
    assert {name: best[name] for name in known} == pytest.approx(known, rel=1e-6)
    assert {"val/loss/rpn_boxes", "val/ap50", "val/voc07_ap50"} <= known.keys()


def test_the_command_line_trains_scores_and_answers(tmp_path: Path, folder: Path, zoo: Any) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    options = [f"--set=model.{k}={json.dumps(v)}" for k, v in SMALL.items() if k != "name"]

    trained = zoo(
        "train", "faster_rcnn_fpn", "--data", f"csv:{folder}", "--output", run, "--epochs", 2,
        "--workers", 0, "--device", "cpu", "--image-size", 64, *options,
    )  # fmt: skip
    scored = zoo("eval", run, "--per-class")
    told = json.loads(zoo("eval", run, "--json").out)
    shown = zoo("predict", run, folder.parent / "1.png", "--save", out)
    document = json.loads(zoo("predict", run, folder.parent / "1.png", "--json").out)

    assert [o.code for o in (trained, scored, shown)] == [0, 0, 0], trained.err + scored.err
    assert "best val/ap" in trained.err + trained.out
    assert set(told["per_class"]) == {"red", "blue"}
    assert told["metrics"]["ap_large"] is None
    assert isinstance(document["images"][0]["objects"], list)
    assert (out / "1.png").is_file()
