"""``zoo compare`` and ``zoo.compare``, on runs made by hand."""

import errno
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from zoo.checkpoint import save_best
from zoo.inference import ModelRecord
from zoo.registry import default_registry
from zoo.workflows import compare, evaluate

Zoo = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.workflows._pass_times._TURN_S", 0.0)


@pytest.fixture
def worse(tiny_run: Path, record: ModelRecord) -> Path:
    """A run whose weights call everything red."""
    folder = tiny_run.with_name("worse")
    shutil.copytree(tiny_run, folder)
    save_best(folder / "best", weights(torch.tensor([-9.0, 9.0])), record.to_json())
    return folder


def weights(bias: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"2.weight": torch.zeros(2, 3), "2.bias": bias}


def changed(run: Path, record: ModelRecord, name: str, **facts: object) -> Path:
    """A copy of a run with another record."""
    folder = run.with_name(name)
    shutil.copytree(run, folder)
    save_best(folder / "best", weights(torch.zeros(2)), replace(record, **facts).to_json())
    return folder


def first_words(out: str) -> list[str]:
    """The first column of the table."""
    return [line.split()[0] for line in out.splitlines()[3:]]


# --- figures --------------------------------------------------------------------------------


def test_the_best_run_comes_first_in_a_table(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    code, out, _ = zoo("compare", worse, tiny_run, "--device", "cpu")

    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("photos, val: 5 images, fingerprint ")
    assert lines[1].startswith("one image on cpu (1 thread), ")
    assert lines[3].split() == [
        *("run", "model", "top1", "ms/image", "speed-up", "parameters", "GMACs"),
    ]
    assert [line.split()[:4] for line in lines[4:]] == [
        ["run", "tiny", "100.00", "%"],
        ["worse", "tiny", "60.00", "%"],
    ]


def test_runs_that_are_equal_stay_in_the_order_of_the_words(
    tiny_run: Path, record: ModelRecord, zoo: Zoo
) -> None:
    others = [changed(tiny_run, record, name) for name in ("b", "a", "c")]

    _, out, _ = zoo("compare", *others)

    assert first_words(out) == ["run", "b", "a", "c"]


def test_each_figure_is_that_of_an_evaluation(tiny_run: Path, worse: Path) -> None:
    expected = {run: evaluate(run, device="cpu") for run in (tiny_run, worse)}

    comparison = compare([tiny_run, worse], device="cpu")

    assert {each.run: each.result.metrics for each in comparison.runs} == {
        run: result.metrics for run, result in expected.items()
    }
    assert comparison.fingerprint == expected[tiny_run].fingerprint


def test_the_time_of_a_pass_has_its_rounds_and_its_ratio(tiny_run: Path, worse: Path) -> None:
    comparison = compare([tiny_run, worse], rounds=3, device="cpu")

    times_s = [each.cost.time_s for each in comparison.runs]
    assert min(times_s) > 0
    assert [each.speedup for each in comparison.runs] == [max(times_s) / t for t in times_s]
    assert min(each.cost.spread_fraction for each in comparison.runs) >= 0


def test_parameters_and_multiply_adds_are_counted(tiny_run: Path, worse: Path) -> None:
    comparison = compare([tiny_run, worse], device="cpu")

    assert [each.num_params for each in comparison.runs] == [8, 8]
    assert [each.cost.gmacs for each in comparison.runs] == pytest.approx([6e-9, 6e-9])


def test_json_is_one_document_with_every_figure(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    code, out, _ = zoo("compare", tiny_run, worse, "--json", "--device", "cpu")

    document = json.loads(out)
    assert code == 0
    assert [run["run"] for run in document["runs"]] == [str(tiny_run), str(worse)]
    assert document["runs"][0]["metrics"]["top1"] == 1.0
    assert document["runs"][0]["num_params"] == 8
    assert document["runs"][0].keys() >= {"time_s", "spread_fraction", "speedup", "gmacs"}
    assert (document["headline"], document["images"], document["rounds"]) == ("top1", 5, 7)
    assert document["fingerprint"] == evaluate(tiny_run).fingerprint
    assert document["environment"]["plugins"] == {"zoo-tiny": "0.1"}


def test_more_metrics_are_more_columns(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    words = ("--metric", "loss", "--metric", "confusion-matrix")

    code, out, _ = zoo("compare", tiny_run, worse, *words)

    assert code == 0
    assert out.splitlines()[3].split()[2:5] == ["top1", "loss", "cohen_kappa"]


def test_less_is_better_where_a_metric_falls(tiny_run: Path, worse: Path) -> None:
    comparison = compare([tiny_run, worse], more_metrics=["loss", "ece", "macro_f1"])

    assert comparison.metrics == ["top1", "loss", "ece", "macro_f1"]
    assert comparison.falling == {"loss", "ece"}


def test_a_headline_of_which_less_is_better_puts_the_least_first(
    tiny_run: Path, worse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.tasks.ClassificationTask.headline", "val/loss")

    comparison = compare([worse, tiny_run])

    assert comparison.metrics == ["loss"]
    assert [each.label for each in comparison.runs] == ["run", "worse"]


def test_the_best_of_each_column_stands_out_on_a_terminal(
    tiny_run: Path, worse: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)

    _, out, _ = zoo("compare", tiny_run, worse)

    best, other = out.splitlines()[4:]
    assert "\x1b[1m100.00 %\x1b[0m" in best
    assert " 60.00 %" in other
    assert "\x1b[1m 60.00 %" not in other


def test_progress_ends_with_everything_done(tiny_run: Path, worse: Path) -> None:
    seen: list[tuple[int, int]] = []

    compare([tiny_run, worse], rounds=2, batch_size=2, progress=lambda *at: seen.append(at))

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (18, 18)


# --- what it is scored on -------------------------------------------------------------------


def test_another_split_is_scored_when_it_is_asked_for(
    tiny_run: Path, worse: Path, zoo: Zoo
) -> None:
    _, out, _ = zoo("compare", tiny_run, worse, "--split", "train")

    assert out.startswith("photos, train: 3 images")


def test_all_are_scored_on_other_data_when_these_are_named(
    tiny_run: Path, worse: Path, photos: Path, zoo: Zoo
) -> None:
    other = photos.with_name("other")
    shutil.copytree(photos, other)
    Image.new("RGB", (9, 9), (220, 20, 20)).save(other / "val/rot/9.png")

    _, out, _ = zoo("compare", tiny_run, worse, "--data", other)

    assert out.startswith("other, val: 6 images")


def with_record_of_data(run: Path, **changes: object) -> None:
    """Write what a run that was trained on its data has kept of them."""
    from zoo.config import DataConfig
    from zoo.data.sources import open_source

    source = open_source(
        str(run.parent / "photos"),
        registry=default_registry(),
        data=DataConfig(),
        message=lambda _: None,
    )
    (run / "data.json").write_text(json.dumps({**source.record(), **changes}))


def test_runs_that_have_not_seen_the_images_need_no_note(tiny_run: Path, worse: Path) -> None:
    with_record_of_data(tiny_run)
    with_record_of_data(worse)

    assert compare([tiny_run, worse]).notes == []


def test_a_run_that_has_learned_from_the_images_is_named(
    tiny_run: Path, worse: Path, zoo: Zoo
) -> None:
    with_record_of_data(tiny_run)
    size = (tiny_run.parent / "photos/val/rot/0.png").stat().st_size
    splits = {"train": [["val/rot/0.png", size, "rot"], ["more.png", 5, "rot"]]}
    with_record_of_data(worse, fingerprint="another", splits=splits)

    _, _, err = zoo("compare", tiny_run, worse)

    assert "worse has learned from 1 of these 5 images" in err


def test_data_that_have_changed_are_named(tiny_run: Path, worse: Path) -> None:
    with_record_of_data(tiny_run)
    with_record_of_data(worse)
    (tiny_run.parent / "photos/train/rot/0.png").unlink()

    assert compare([tiny_run, worse]).notes == [
        "the data are no longer those of run: train/rot/0.png is missing",
        "the data are no longer those of worse: train/rot/0.png is missing",
    ]


def test_a_run_of_other_data_is_named(tiny_run: Path, worse: Path) -> None:
    with_record_of_data(tiny_run)
    with_record_of_data(worse, name="cats", fingerprint="another", splits={"train": []})

    assert compare([tiny_run, worse]).notes == ["worse was trained on other data (cats)"]


def test_scores_of_the_training_images_are_called_so(tiny_run: Path, worse: Path) -> None:
    with_record_of_data(tiny_run)
    with_record_of_data(worse)

    assert compare([tiny_run, worse], split="train").notes == [
        "run has learned from these images",
        "worse has learned from these images",
    ]


# --- what cannot be compared ----------------------------------------------------------------


def refused(zoo: Zoo, *words: object) -> str:
    """What is said of it."""
    code, out, err = zoo("compare", *words)
    assert (code, out) == (2, "")
    return err


def test_one_run_is_no_comparison(tiny_run: Path, zoo: Zoo) -> None:
    err = refused(zoo, tiny_run)

    assert "a comparison takes two runs or more" in err
    assert "zoo eval" in err


def test_a_run_that_is_named_twice_is_compared_once(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    again = tiny_run.parent / "worse/../run"

    code, out, err = zoo("compare", tiny_run, worse, again)

    assert code == 0
    assert f"{again} is named twice, and compared once" in err
    assert len(out.splitlines()) == 6


def test_the_same_run_twice_is_one_run(tiny_run: Path, zoo: Zoo) -> None:
    err = refused(zoo, tiny_run, tiny_run)

    assert "is named twice" in err
    assert "two runs or more" in err


def test_a_folder_that_is_no_run_is_named(tiny_run: Path, photos: Path, zoo: Zoo) -> None:
    assert str(photos) in refused(zoo, tiny_run, photos)


def test_a_model_is_no_run(tiny_run: Path, zoo: Zoo) -> None:
    assert "tiny" in refused(zoo, tiny_run, "tiny")


def test_a_run_with_damaged_weights_is_named(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    (worse / "best/manifest.json").write_text("{")

    assert str(worse) in refused(zoo, tiny_run, worse)


def test_a_run_of_a_model_that_is_not_installed_is_named(
    tiny_run: Path, record: ModelRecord, zoo: Zoo
) -> None:
    stranger = changed(tiny_run, record, "stranger", model="gone:large", distribution="zoo-gone")

    err = refused(zoo, tiny_run, stranger)

    assert str(stranger) in err
    assert "pip install zoo-gone" in err


def test_runs_of_different_tasks_are_refused(tiny_run: Path, record: ModelRecord, zoo: Zoo) -> None:
    other = changed(tiny_run, record, "other", task="core:segmentation")

    err = refused(zoo, tiny_run, other)

    assert f"{tiny_run} does classification, and {other} does segmentation" in err
    assert "Compare runs of one task." in err


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("gelb", "rot"), "only in {run}: 'blau'; only in {other}: 'gelb'"),
        (("rot", "blau"), "label 0 is 'blau' in {run}, 'rot' in {other}"),
    ],
)
def test_runs_with_different_classes_are_refused(
    tiny_run: Path, record: ModelRecord, zoo: Zoo, classes: tuple[str, str], said: str
) -> None:
    other = changed(tiny_run, record, "other", classes=classes)

    assert said.format(run=tiny_run, other=other) in refused(zoo, tiny_run, other)


def test_data_of_other_classes_are_refused(
    tiny_run: Path, worse: Path, photos: Path, zoo: Zoo
) -> None:
    for split in ("train", "val"):
        (photos / split / "rot").rename(photos / split / "gelb")

    assert "only in the data: 'gelb'" in refused(zoo, tiny_run, worse)


def test_an_unknown_split_is_refused(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    assert "photos has train, val" in refused(zoo, tiny_run, worse, "--split", "vall")


def test_an_unknown_metric_is_refused(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    assert "unknown metric 'top2'" in refused(zoo, tiny_run, worse, "--metric", "top2")


@pytest.mark.parametrize("words", ["no-run", "--save x.gif", "--metric top2", "--split test"])
def test_what_is_wrong_is_found_before_any_work(
    tiny_run: Path, worse: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr("zoo.workflows._compare.proposed", pytest.fail)
    monkeypatch.setattr("zoo.workflows._compare.measure_passes", pytest.fail)

    assert refused(zoo, tiny_run, worse, *words.split())


# --- the picture ----------------------------------------------------------------------------


def test_the_picture_names_every_run(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    pytest.importorskip("matplotlib")
    picture = tiny_run.parent / "runs.svg"

    code, _, err = zoo("compare", tiny_run, worse, "--save", picture)

    text = picture.read_text()
    assert code == 0
    assert f"the picture is {picture}" in err
    assert ">run<" in text
    assert ">worse<" in text
    assert "photos, val: 5 images" in text


def test_a_picture_that_cannot_be_written_after_all_costs_no_figure(
    tiny_run: Path, worse: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr("zoo.reporting._tradeoff.write_new_file", full)

    code, out, err = zoo("compare", tiny_run, worse, "--save", tiny_run.parent / "runs.png")

    assert code == 74
    assert first_words(out) == ["run", "run", "worse"]
    assert "the disk is full" in err


def test_a_picture_that_is_there_is_kept(tiny_run: Path, worse: Path, zoo: Zoo) -> None:
    picture = tiny_run.parent / "runs.png"
    picture.write_text("mine")

    assert "is there already" in refused(zoo, tiny_run, worse, "--save", picture)
    assert picture.read_text() == "mine"


def test_without_matplotlib_there_is_still_a_table(
    tiny_run: Path, worse: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert zoo("compare", tiny_run, worse)[0] == 0
    assert "pip install 'zoo-core[pictures]'" in refused(
        zoo, tiny_run, worse, "--save", tiny_run.parent / "runs.png"
    )
