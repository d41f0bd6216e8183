"""Detectors that are told where objects could be: training, resume, evaluation, prediction."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.config import Layer
from zoo.errors import ConfigError, DataError, RunFolderError, UnknownNameError, UsageError
from zoo.inference import load_run
from zoo.proposals import Proposals, read_proposals, save_proposals
from zoo.registry import default_registry
from zoo.training import Callback
from zoo.workflows import evaluate, plan_training, run_training

FailAt = Callable[[int], Callback]

REGISTRY = default_registry()
FAST = {"name": "fast_rcnn", "backbone": "resnet20", "stage": "layer2", "head_width": 8}
FASTER = {
    "name": "faster_rcnn",
    "backbone": "resnet20",
    "stage": "layer2",
    "head_width": 8,
    "anchor_sizes": [12, 24],
    "proposals_test": 15,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Nine images of two sizes with a bright square."""
    root = tmp_path / "squares"
    root.mkdir()
    lines = ["path,xmin,ymin,xmax,ymax,class"]
    for number in range(9):
        draw = np.random.default_rng(number)
        pixels = draw.integers(0, 60, (40, 48 + 8 * (number % 2), 3)).astype(np.uint8)
        top, left = draw.integers(0, 24, 2)
        pixels[top : top + 15, left : left + 15] = 230
        Image.fromarray(pixels).save(root / f"{number}.png")
        lines.append(f"{number}.png,{left},{top},{left + 15},{top + 15},square")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root / "boxes.csv"


def config(table: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": FAST,
        "task": {"least_score": 0.0},
        "data": {"source": f"csv:{table}", "workers": 0, "image_size": 64, "proposals": "grid"},
        "transforms": {"scale": [0.7, 1.4], "crop": 0.5},
        "training": {"epochs": 1, "batch_size": 3, "save_every": 1},
        "machine": {"device": "cpu", "precision": "fp32", "threads": 1},
    }
    return {
        **settings,
        **{name: {**settings.get(name, {}), **keys} for name, keys in sections.items()},
    }


def train(settings: Mapping[str, Any], output: Path, *callbacks: Callback) -> Path:
    plan = plan_training([Layer("test", settings)], registry=REGISTRY)
    run_training(plan, output=output, callbacks=callbacks, registry=REGISTRY)
    return output


def resume(output: Path, *layers: Layer) -> None:
    plan = plan_training(layers, resume=output, registry=REGISTRY)
    run_training(plan, resume=output, registry=REGISTRY)


def test_a_model_is_told_the_proposals_that_the_config_names(tmp_path: Path, table: Path) -> None:
    run = train(config(table, data={"proposals_limit": 30}), tmp_path / "run")

    record = load_run(run, registry=REGISTRY).record
    assert record.proposals["limit"] == 30
    assert record.proposals["method"]["name"] == "rcnn:grid"
    assert set(json.loads((run / "proposals.json").read_text())) == {"train", "val"}


def test_an_evaluation_alone_gives_what_training_measured(tmp_path: Path, table: Path) -> None:
    run = train(config(table, data={"proposals_limit": 30}), tmp_path / "run")

    alone = evaluate(run, registry=REGISTRY, batch_size=2).metrics
    file = _write_all(run, tmp_path / "other.safetensors", factor=0.9)
    others = evaluate(run, registry=REGISTRY, data_options={"proposals": str(file)}).metrics

    logged = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert alone["loss"] == pytest.approx(logged["val/loss"], rel=1e-6)
    assert others["loss"] != pytest.approx(alone["loss"], rel=1e-6)


def test_an_image_alone_is_answered_as_in_the_evaluation(tmp_path: Path, table: Path) -> None:
    """The predictor makes the proposals of an image that nobody has seen before."""
    run = train(config(table, data={"proposals_limit": 30}), tmp_path / "run")
    predictor = load_run(run, registry=REGISTRY)
    images = [table.parent / f"{number}.png" for number in range(4)]

    together = predictor(images)
    alone = [predictor(image) for image in images]

    assert together == alone
    assert len(alone[0]["objects"]) > 0


@pytest.mark.parametrize("proposals", ["grid", "file"])
def test_a_broken_run_goes_on_with_the_same_proposals(
    tmp_path: Path, table: Path, proposals: str, fail_at: FailAt
) -> None:
    whole = train(config(table), tmp_path / "whole")
    file = _write_all(whole, tmp_path / "all.safetensors")
    word = {"grid": "grid", "file": str(file)}[proposals]
    with pytest.raises(KeyboardInterrupt):
        train(config(table, data={"proposals": word}), tmp_path / "cut", fail_at(2))
    shutil.rmtree(tmp_path / "cache")

    resume(tmp_path / "cut")

    ours, theirs = (load_run(tmp_path / name).model.state_dict() for name in ("cut", "whole"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_run_does_not_go_on_with_other_proposals(
    tmp_path: Path, table: Path, fail_at: FailAt
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config(table), tmp_path / "cut", fail_at(2))
    file = _write_all(tmp_path / "cut", tmp_path / "other.safetensors", factor=0.9)

    with pytest.raises(DataError, match="proposals of train are not those"):
        resume(tmp_path / "cut", Layer("test", {"data": {"proposals": str(file)}}))


def test_the_regions_of_a_run_serve_another_detector(tmp_path: Path, table: Path) -> None:
    faster = train(config(table, model=FASTER, data={"proposals": "none"}), tmp_path / "faster")
    run = train(config(table, data={"proposals": f"rpn:{faster}"}), tmp_path / "fast")

    answer = load_run(run, registry=REGISTRY)(table.parent / "0.png")
    faster.rename(tmp_path / "moved")
    predictor = load_run(run, registry=REGISTRY)

    assert len(answer["objects"]) > 0
    with pytest.raises(RunFolderError, match="run that proposes cannot be used"):
        predictor(table.parent / "0.png")
    moved = evaluate(
        run, registry=REGISTRY, data_options={"proposals": f"rpn:{tmp_path / 'moved'}"}
    )
    assert moved.images == 2


def test_a_run_that_has_learned_on_proposes_for_nobody_who_knew_it(
    tmp_path: Path, table: Path
) -> None:
    settings = config(table, model=FASTER, data={"proposals": "none"})
    faster = train(settings, tmp_path / "faster")
    run = train(config(table, data={"proposals": f"rpn:{faster}"}), tmp_path / "fast")
    shutil.rmtree(faster)
    train({**settings, "training": {**settings["training"], "seed": 5}}, faster)

    with pytest.raises(RunFolderError, match="other weights than when it proposed"):
        load_run(run, registry=REGISTRY)(table.parent / "0.png")


@pytest.mark.parametrize(
    ("sections", "error", "match"),
    [
        ({"model": FASTER}, ConfigError, "looks at no proposals"),
        ({"data": {"proposals": "selectiv-search"}}, UnknownNameError, "selective-search"),
        ({"data": {"proposals": "/no/such/file"}}, DataError, "no file /no/such/file"),
        ({"data": {"proposals": "blood.safetensors"}}, DataError, "no file blood.safetensors"),
        ({"data": {"proposals": "rpn:"}}, ConfigError, "names no run"),
        ({"data": {"proposals": "rpn:/no/run"}}, RunFolderError, "cannot be used"),
        ({"data": {"proposals_options": {"stepp": 1}}}, ConfigError, "stepp"),
        ({"data": {"proposals": "none", "proposals_limit": 3}}, ConfigError, "names nothing"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    tmp_path: Path, table: Path, sections: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        train(config(table, **sections), tmp_path / "run")

    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_a_file_for_other_images_is_refused(tmp_path: Path, table: Path) -> None:
    run = train(config(table), tmp_path / "run")
    file = _write_all(run, tmp_path / "all.safetensors")
    (table.parent / "more.png").write_bytes((table.parent / "0.png").read_bytes())
    table.write_text(table.read_text() + "more.png,1,1,5,5,square\n")

    with pytest.raises(DataError, match=r"more\.png is not among their 9"):
        train(config(table, data={"proposals": str(file)}), tmp_path / "other")

    assert not (tmp_path / "other").exists()


def test_without_opencv_the_cure_is_said(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(UsageError, match=r"zoo-rcnn\[selective-search\]"):
        train(config(table, data={"proposals": "selective-search"}), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def _write_all(run: Path, file: Path, *, factor: float = 1.0) -> Path:
    """The proposals of the cache's splits in one file, each box smaller by a factor."""
    folder = run.parent / "cache" / "proposals"
    parts = [read_proposals(path) for path in sorted(folder.glob("*.safetensors"))]
    joined = Proposals.join(parts[0].method, parts)
    save_proposals(file, replace(joined, boxes=joined.boxes * np.float32(factor)))
    return file
