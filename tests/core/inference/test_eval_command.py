"""``zoo eval`` and ``zoo.evaluate``, on a run made by hand."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from zoo.checkpoint import save_best
from zoo.config import DataConfig
from zoo.data.sources import open_source
from zoo.errors import DataError
from zoo.inference import ModelRecord, load_run
from zoo.registry import default_registry
from zoo.runs import RunFolder
from zoo.structures import Batch, Step
from zoo.tasks import ClassificationTask
from zoo.workflows import evaluate

Zoo = Callable[..., tuple[int, str, str]]


def test_a_run_is_scored_on_its_own_data(tiny_run: Path) -> None:
    result = evaluate(tiny_run)

    assert result.metrics["top1"] == 1.0
    assert (result.data, result.split, result.images) == ("photos", "val", 5)
    assert result.per_class["rot"]["images"] == 3
    assert result.confusion is None


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_no_figure_depends_on_the_batch_size(tiny_run: Path, batch_size: int) -> None:
    expected = evaluate(tiny_run, precision="fp32").metrics

    result = evaluate(tiny_run, batch_size=batch_size, precision="fp32")

    assert result.metrics == pytest.approx(expected, rel=1e-6)


def test_an_evaluation_goes_on_with_as_many_images_as_fit(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, zoo: Zoo
) -> None:
    expected = evaluate(tiny_run, precision="fp32").metrics
    step = ClassificationTask.step

    def short(self: ClassificationTask, model: nn.Module, batch: Batch) -> Step:
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return step(self, model, batch)

    monkeypatch.setattr(ClassificationTask, "step", short)

    code, out, err = zoo("eval", tiny_run, "--precision", "fp32", "--device", "cpu", "--json")

    assert code == 0
    assert json.loads(out)["metrics"] == pytest.approx(expected, rel=1e-6)
    assert err.count("not the memory for 5 images at once: 2 at a time from here on") == 1


def test_another_checkpoint_is_scored_when_it_is_asked_for(tiny_run: Path) -> None:
    result = evaluate(tiny_run, checkpoint="last", confusion=True)

    assert result.metrics["top1"] == 0.0
    assert result.confusion == [[0, 2], [3, 0]]


SHARE = """
class Share:
    states, falling = {}, frozenset()

    def __init__(self, *, classes, threshold=0.5):
        self.seen = self.red = 0

    def to(self, device): return self
    def over_ranks(self): return self
    def details(self): return {}

    def update(self, predictions, batch):
        self.seen += len(batch)
        self.red += int(predictions.argmax(1).sum())

    def compute(self):
        return {KEY: self.red / self.seen}


@hookimpl
def zoo_metrics():
    from zoo import MetricCard
    return [MetricCard(
        name="share", task=TASK, summary="s", factory="zoo_share:Share", keys=(KEY,),
    )]
"""


@pytest.fixture
def share(site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A plugin with a metric of its own, computed under ``key``."""

    def install(*, key: str = "share_fraction", task: str = "classification") -> None:
        site.install("zoo-share", f"KEY, TASK = {key!r}, {task!r}\n{SHARE}", name="share")
        monkeypatch.setenv("ZOO_PLUGINS", "tiny,share")
        default_registry.cache_clear()

    return install


def test_a_metric_of_a_plugin_is_computed_when_it_is_asked_for(
    tiny_run: Path, zoo: Zoo, share: Callable[..., None]
) -> None:
    share()

    code, out, _ = zoo("eval", tiny_run, "--metric", "share", "--json")

    metrics = json.loads(out)["metrics"]
    assert (code, metrics["share_fraction"], metrics["top1"]) == (0, 0.6, 1.0)
    assert "share_fraction" not in evaluate(tiny_run).metrics


@pytest.mark.parametrize(
    ("facts", "name", "code", "said"),
    [
        ({}, "shar", 2, "unknown metric 'shar'\nDid you mean share?"),
        ({"task": "angle"}, "share", 2, "share is a metric of angle, and the model does classi"),
        ({"key": "top1"}, "share", 1, "two metrics compute top1"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(
    tiny_run: Path,
    zoo: Zoo,
    share: Callable[..., None],
    facts: dict[str, str],
    name: str,
    code: int,
    said: str,
) -> None:
    share(**facts)

    outcome = zoo("eval", tiny_run, "--metric", name)

    assert outcome[0] == code
    assert said in outcome[2]


@pytest.mark.parametrize(("split", "images"), [("train", 3), ("val", 5)])
def test_every_split_can_be_scored(tiny_run: Path, split: str, images: int) -> None:
    result = evaluate(tiny_run, split=split)

    assert result.images == images
    assert {"top1", "macro_f1", "ece", "loss"} <= set(result.metrics)


def test_of_other_data_without_splits_every_image_is_scored(tiny_run: Path, photos: Path) -> None:
    flat = evaluate(tiny_run, data=str(photos / "val"))
    held_out = evaluate(tiny_run, data=str(photos / "val"), split="val")

    assert (flat.split, flat.images) == ("all", 5)
    assert (held_out.split, held_out.images) == ("val", 2)


def test_other_data_may_be_too_few_to_hold_any_out(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    for folder in (photos / "val").iterdir():
        (tmp_path / "few" / folder.name).mkdir(parents=True)
        shutil.copy(min(folder.iterdir()), tmp_path / "few" / folder.name)
    said: list[str] = []

    result = evaluate(tiny_run, data=str(tmp_path / "few"), message=said.append)

    assert (result.images, said) == (2, [])


def test_a_predictor_can_be_scored_on_other_data(tiny_run: Path, photos: Path) -> None:
    result = evaluate(load_run(tiny_run), data=str(photos))

    assert result.metrics["top1"] == 1.0


def test_the_runs_own_preprocessing_is_used(tiny_run: Path, record: ModelRecord) -> None:
    weights = {"2.weight": torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]), "2.bias": torch.zeros(2)}
    dark = replace(record, input=replace(record.input, mean=(2.0, 2.0, 2.0)))
    save_best(tiny_run / "best", weights, dark.to_json())

    result = evaluate(tiny_run, confusion=True)

    # With that mean every red channel is below zero, so that all images are "rot".
    assert result.confusion == [[0, 2], [0, 3]]


def test_progress_and_messages_are_heard(tiny_run: Path) -> None:
    heard: list[tuple[int, int]] = []

    evaluate(tiny_run, batch_size=2, progress=lambda *now: heard.append(now))

    assert heard == [(2, 5), (4, 5), (5, 5)]


def test_bad_images_can_be_left_out(tiny_run: Path, photos: Path) -> None:
    (photos / "val/rot/0.png").write_text("no image")

    with pytest.raises(DataError, match=r"0\.png"):
        evaluate(tiny_run)

    assert evaluate(tiny_run, data_options={"on_bad_image": "skip"}).images == 4


def test_published_weights_are_scored_on_data_of_their_classes(plugin: None, photos: Path) -> None:
    result = evaluate("tiny", weights="colours", data=str(photos))

    assert result.metrics["top1"] == 1.0
    assert result.record.weights == "colours"


def test_data_that_changed_since_training_are_said(tiny_run: Path, photos: Path) -> None:
    settings = DataConfig(source=str(photos))
    source = open_source(
        str(photos), registry=default_registry(), data=settings, message=lambda _: None
    )
    RunFolder.open(tiny_run).write_json("data.json", source.record())
    heard: list[str] = []
    evaluate(tiny_run, message=heard.append)
    unchanged = list(heard)

    (photos / "val/rot/0.png").rename(photos / "val/rot/new.png")
    evaluate(tiny_run, message=heard.append)

    assert unchanged == []
    assert "no longer those of the run" in heard[-1]


def test_a_run_that_is_scored_on_images_that_it_has_learned_from_says_so(
    tiny_run: Path, photos: Path
) -> None:
    photos = shutil.move(photos / "val", photos.parent / "undivided")
    settings = DataConfig(source=str(photos), val_fraction=0.4)
    source = open_source(
        str(photos), registry=default_registry(), data=settings, message=lambda _: None
    )
    RunFolder.open(tiny_run).write_json("data.json", source.record())
    heard: list[str] = []

    result = evaluate(tiny_run, data=str(photos), message=heard.append)

    learned = len(source.splits["train"])
    assert result.split == "all"
    assert len(heard) == 1
    assert f"The run has learned from {learned} of these {result.images} images" in heard[0]


def test_weights_of_a_file_take_the_names_of_the_data(
    plugin: None, tmp_path: Path, photos: Path
) -> None:
    weights = {"2.weight": torch.tensor([[-3.0, 0, 3.0], [3.0, 0, -3.0]]), "2.bias": torch.zeros(2)}
    save_file(weights, tmp_path / "w.safetensors")

    result = evaluate("tiny", weights=str(tmp_path / "w.safetensors"), data=str(photos))

    assert result.metrics["top1"] == 1.0
    assert list(result.per_class) == ["blau", "rot"]


def test_the_command_prints_a_table(tiny_run: Path, zoo: Zoo) -> None:
    code, out, err = zoo("eval", tiny_run, "--precision", "fp32", "--per-class", "--confusion")

    assert code == 0
    assert "photos, val: 5 images" in out
    assert "top1             100.00 %" in out
    assert "rot     100.00 %  100.00 %  100.00 %       3" in out
    assert "blau     2    0" in out
    assert "Traceback" not in err


def test_json_is_one_document_alone_on_stdout(tiny_run: Path, zoo: Zoo) -> None:
    code, out, _ = zoo("eval", tiny_run, "--json", "--confusion")

    document = json.loads(out)
    assert code == 0
    assert document["metrics"]["top1"] == 1.0
    assert document["images"] == 5
    assert document["confusion"] == [[2, 0], [0, 3]]
    assert document["classes"] == ["blau", "rot"]
    assert (document["step"], document["epoch"]) == (6, 2)


def _other_classes(root: Path) -> Path:
    for split in ("train", "val"):
        shutil.move(root / split / "rot", root / split / "violett")
    return root


def _third_class(root: Path) -> Path:
    for split in ("train", "val"):
        (root / split / "weiss").mkdir()
        Image.new("RGB", (9, 9), "white").save(root / split / "weiss/0.png")
    return root


def test_data_of_other_classes_are_refused_with_the_differences(
    tiny_run: Path, photos: Path, zoo: Zoo
) -> None:
    code, out, err = zoo("eval", tiny_run, "--data", _other_classes(photos))

    assert (code, out) == (2, "")
    assert "only in the data: 'violett'; only in the model: 'rot'" in err


def test_data_of_more_classes_are_refused(tiny_run: Path, photos: Path, zoo: Zoo) -> None:
    code, _, err = zoo("eval", tiny_run, "--data", _third_class(photos))

    assert code == 2
    assert "only in the data: 'weiss'" in err


def test_the_same_classes_in_another_order_are_refused(
    tiny_run: Path, record: ModelRecord, zoo: Zoo
) -> None:
    weights = {"2.weight": torch.zeros(2, 3), "2.bias": torch.zeros(2)}
    save_best(tiny_run / "best", weights, replace(record, classes=("rot", "blau")).to_json())

    code, _, err = zoo("eval", tiny_run)

    assert code == 2
    assert "label 0 is 'blau' in the data, 'rot' in the model" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing-here"], "there is no folder nothing-here"),
        (["tiny"], "tiny is a model"),
        (["tiyn", "--weights", "w"], "unknown model 'tiyn'"),
        (["tiny", "--weights", "w", "--data", "digits"], "w"),
        (["{run}", "--split", "tset"], "unknown split 'tset'"),
        (["{run}", "--checkpoint", "step-1"], "unknown checkpoint 'step-1'"),
        (["{run}", "--checkpoint", "newest"], "unknown checkpoint 'newest'"),
        (["{run}", "--data", "digts"], "digits"),
        (["{run}", "--data", "{run}"], "Error"),
        (["{run}", "--device", "tpu"], "unknown device 'tpu'"),
        (["{run}", "--precision", "fp8"], "unknown precision 'fp8'"),
        (["{run}", "--batch-size", "0"], "batch-size"),
        (["{run}/config.toml"], "is a file, not a run folder"),
    ],
)
def test_wrong_words_are_a_usage_error_without_a_traceback(
    tiny_run: Path, zoo: Zoo, words: list[str], message: str
) -> None:
    before = sorted(tiny_run.rglob("*"))

    code, out, err = zoo("eval", *(word.format(run=tiny_run) for word in words))

    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert sorted(tiny_run.rglob("*")) == before


def test_a_model_needs_data(plugin: None, tmp_path: Path, zoo: Zoo) -> None:
    save_file({"2.weight": torch.zeros(2, 3), "2.bias": torch.zeros(2)}, tmp_path / "w.safetensors")

    code, _, err = zoo("eval", "tiny", "--weights", tmp_path / "w.safetensors")

    assert code == 2
    assert "--data" in err


def test_a_missing_plugin_is_a_usage_error(
    tiny_run: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "")
    default_registry.cache_clear()

    code, _, err = zoo("eval", tiny_run)

    assert code == 2
    assert "tiny:tiny" in err
