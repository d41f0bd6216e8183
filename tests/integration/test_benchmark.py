"""``zoo benchmark`` of real models beside what others make of the same architecture."""

import json

import pytest

from zoo.cli._main import run

SMALL = ("--device", "cpu", "--rounds", "1", "--image-size", "32", "--batch-size", "2", "--json")


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.workflows._benchmark_timing._TURN_S", 0.0)


def test_peers_do_the_same_work_in_the_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["benchmark", "resnet18", *SMALL, "--against", "torchvision,timm"])

    answer = capsys.readouterr()
    assert code == 0, answer.err
    speeds = json.loads(answer.out)["speeds"]
    peers = [(s["phase"], s["variant"]) for s in speeds if s["variant"] in ("torchvision", "timm")]
    assert peers == [
        ("training", "torchvision"),
        ("training", "timm"),
        ("inference", "torchvision"),
        ("inference", "timm"),
    ]
    assert all(s["images_per_s"] > 0 for s in speeds)


def test_lightning_trains_the_model_itself(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning", exc_type=ImportError)

    code = run(["benchmark", "resnet20", *SMALL, "--train", "--against", "lightning"])

    answer = capsys.readouterr()
    assert code == 0, answer.err
    last = json.loads(answer.out)["speeds"][-1]
    assert (last["phase"], last["variant"], last["precision"]) == ("training", "lightning", "fp32")
    assert last["images_per_s"] > 0


@pytest.mark.parametrize("model", ["unet_small", "faster_rcnn_resnet18_fpn"])
def test_models_of_every_task_are_measured(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["benchmark", model, *SMALL])

    answer = capsys.readouterr()
    assert code == 0, answer.err
    document = json.loads(answer.out)
    assert document["binds"] in ("loader", "training")
    assert [s["phase"] for s in document["speeds"]][-2:] == ["loader", "loader + training"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resnet20", "--against", "torchvision"), "unknown model 'torchvision:resnet20'"),
        (("resnet18", "--against", "lightning"), "--against lightning: it is not installed"),
    ],
)
def test_a_peer_that_cannot_do_the_work_is_refused_before_any_is_done(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "lightning" else 1)

    code = run(["benchmark", *words])

    assert code == 2
    assert message in capsys.readouterr().err
