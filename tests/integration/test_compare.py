"""Trained runs side by side: classifiers on photos, detectors on rectangles."""

import json
import math
import shlex
from pathlib import Path

import pytest
from PIL import Image

from zoo.cli._main import run as run_words
from zoo.models import build_model, describe_structure
from zoo.workflows import compare, evaluate

ON_CPU = shlex.split("--workers 0 --device cpu --precision fp32 --max-steps 2")
DETECTOR = shlex.split(
    "faster_rcnn_fpn --set task.name=detection --image-size 64 --batch-size 2"
    " --set model.backbone=resnet20 --set model.fpn_channels=8 --set model.head_width=16"
    " --set model.anchor_sizes=[8,16,32] --set model.stages=['layer2','layer3']"
)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory, make_photos) -> list[Path]:
    """Two runs of two steps on photos."""
    root = tmp_path_factory.mktemp("classifiers")
    photos = make_photos(root / "photos", "train", "val")
    words = [*ON_CPU, "--data", str(photos), "--image-size", "16", "--batch-size", "4"]
    runs = [root / "runs" / name for name in ("resnet20", "resnet32")]
    assert [run_words(["train", run.name, *words, "--output", str(run)]) for run in runs] == [0, 0]
    return runs


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of two steps on red squares, one of which looks at more proposals."""
    root = tmp_path_factory.mktemp("detectors")
    lines = ["path,xmin,ymin,xmax,ymax,class"]
    for number in range(8):
        image = Image.new("RGB", (64, 48 + 4 * number))
        image.paste((220, 0, 0), (number, 10, number + 20, 30))
        image.save(root / f"{number}.png")
        lines.append(f"{number}.png,{number},10,{number + 20},30,square")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    words = ["train", *DETECTOR, *ON_CPU, "--data", f"csv:{root / 'boxes.csv'}"]
    runs = {root / "few": 10, root / "many": 40}
    for run, count in runs.items():
        proposals = f"model.proposals_test={count}"
        assert run_words([*words, "--set", proposals, "--output", str(run)]) == 0
    return list(runs)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.workflows._pass_times._TURN_S", 0.0)


def test_multiply_adds_are_those_of_the_models_structure(classifiers: list[Path]) -> None:
    comparison = compare(classifiers, device="cpu")

    counted = {each.run: each.cost.gmacs for each in comparison.runs}
    described = {
        each.run: describe_structure(
            build_model(each.run.name, num_classes=2), each.result.record.input
        )[-1]
        for each in comparison.runs
    }
    assert counted == {run: pytest.approx(total.gmacs) for run, total in described.items()}
    assert {each.run: each.num_params for each in comparison.runs} == {
        run: total.num_params for run, total in described.items()
    }


def test_runs_of_the_same_split_have_no_notes(classifiers: list[Path]) -> None:
    assert compare(classifiers, device="cpu").notes == []


def test_detectors_are_compared_by_ap_and_ap50(zoo, detectors: list[Path]) -> None:
    outcome = zoo("compare", *detectors, "--device", "cpu")

    assert outcome.code == 0
    assert outcome.out.splitlines()[3].split()[:4] == ["run", "model", "ap", "ap50"]


def test_a_detectors_figures_are_those_of_its_evaluation(zoo, detectors: list[Path]) -> None:
    document = json.loads(zoo("compare", *detectors, "--json", "--device", "cpu").out)

    found = {run["label"]: run["metrics"] for run in document["runs"]}
    assert found == {
        run.name: {
            name: None if math.isnan(value) else value
            for name, value in evaluate(run, device="cpu").metrics.items()
        }
        for run in detectors
    }


def test_the_work_of_a_detector_is_that_on_its_own_proposals(detectors: list[Path]) -> None:
    few, many = detectors

    comparison = compare([few, many], device="cpu")

    gmacs = {each.run: each.cost.gmacs for each in comparison.runs}
    assert gmacs[many] > gmacs[few] > 0


def test_missing_proposals_are_made_first_and_one_sees_how_far(
    detectors: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = f"csv:{detectors[0].parent / 'boxes.csv'}"
    words = shlex.split(
        "fast_rcnn --image-size 64 --batch-size 2 --set model.backbone=resnet20"
        " --set model.head_width=16 --set model.stage=layer2 --set data.proposals=grid"
    )
    told = tmp_path / "told"
    assert run_words(["train", *words, *ON_CPU, "--data", data, "--output", str(told)]) == 0
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "empty"))
    said: list[str] = []
    shown: list[tuple[int, int]] = []

    comparison = compare(
        [detectors[0], told],
        device="cpu",
        rounds=1,
        progress=lambda done, total: shown.append((done, total)),
        message=said.append,
    )

    made = f"Making proposals for {comparison.images} images: rcnn:grid."
    assert said.count(made) == 1
    assert shown[0] == (0, comparison.images)


def test_a_classifier_and_a_detector_are_not_compared(
    zoo, classifiers: list[Path], detectors: list[Path]
) -> None:
    outcome = zoo("compare", classifiers[0], detectors[0])

    assert outcome.code == 2
    assert "does classification, and " in outcome.err
    assert "does detection: they have no figure in common" in outcome.err
