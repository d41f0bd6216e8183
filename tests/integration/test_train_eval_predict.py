"""The whole way: train, look into the folder, evaluate, predict, stop, go on, start from it."""

import json
import math
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import zoo as library
from zoo.checkpoint import latest_checkpoint, load_best
from zoo.cli._main import run as run_words
from zoo.training import Callback

SMALL = shlex.split("--image-size 16 --batch-size 4 --workers 0 --device cpu --precision fp32")
"""For photos; digits bring their own size."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos", "train", "val")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    words = ["train", "resnet20", "--data", str(photos), "--epochs", "2", *SMALL]
    assert run_words([*words, "--output", str(folder)]) == 0
    return folder


def lines_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def epochs_of(run: Path) -> list[dict]:
    return [line for line in lines_of(run) if "val/loss" in line.get("metrics", line)]


def config_of(run: Path) -> dict:
    return tomllib.loads((run / "config.toml").read_text())


def assert_same_outcome(run: Path, reference: Path) -> None:
    """Final state, best weights and log are equal, but for what is time."""
    newest, expected = (
        latest_checkpoint(folder / "checkpoints", warn=pytest.fail) for folder in (run, reference)
    )
    assert newest is not None
    assert expected is not None
    assert newest.tensors.keys() == expected.tensors.keys()
    assert all(bool((newest.tensors[k] == expected.tensors[k]).all()) for k in newest.tensors)
    best, expected_best = load_best(run / "best"), load_best(reference / "best")
    assert all(bool((best.tensors[k] == expected_best.tensors[k]).all()) for k in best.tensors)
    assert [{**line, "timing": 0} for line in lines_of(run)] == [
        {**line, "timing": 0} for line in lines_of(reference)
    ]


# --- train ----------------------------------------------------------------------------------


def test_a_run_leaves_what_the_next_steps_need(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())

    assert {path.name for path in finished.iterdir()} == {
        "best",
        "checkpoints",
        "config.toml",
        "data.json",
        "environment.json",
        "metrics.jsonl",
        "result.json",
        "run.lock",
    }
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"step-3", "step-6"}
    assert (result["reason"], result["steps"], result["epochs"]) == ("finished", 6, 2)
    assert len(epochs_of(finished)) == 2


def test_json_is_one_document_and_stdout_holds_nothing_else(zoo, photos, tmp_path) -> None:
    words = ("train", "resnet20", "--data", photos, "--max-steps", 2, *SMALL, "--json")

    outcome = zoo(*words, "--output", tmp_path / "run")

    document = json.loads(outcome.out)
    assert outcome.code == 0
    assert document["run"] == str(tmp_path / "run")
    assert (document["reason"], document["steps"]) == ("max_steps", 2)


def test_the_default_is_digits_in_a_new_folder_of_runs(zoo, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    first, second = (zoo("train", "resnet20", "--max-steps", 1, "--device", "cpu") for _ in "ab")

    assert (first.code, second.code) == (0, 0)
    runs = sorted(Path("runs").iterdir())
    assert len(runs) == 2
    assert all(run.name.startswith("resnet20-digits-") for run in runs)
    assert f"zoo eval {runs[0]}" in first.err
    assert zoo("eval", runs[0]).code == 0


def test_every_source_of_the_config_is_written_down_with_what_it_said(
    zoo, photos, tmp_path, monkeypatch
) -> None:
    file = tmp_path / "my.toml"
    training = "epochs = 7\nlog_every = 3\nkeep_last = 3\nseed = 5"
    file.write_text(f"[training]\n{training}\n[optimizer]\nmomentum = 0.5\n")
    monkeypatch.setenv("ZOO_TRAINING__LOG_EVERY", "4")
    monkeypatch.setenv("ZOO_TRAINING__SEED", "6")
    monkeypatch.chdir(photos.parent)

    outcome = zoo(
        *("train", "resnet20", "--data", "photos", "--config", file, "--max-steps", 1, *SMALL),
        *("--seed", 7, "--set", "training.seed=8", "--output", tmp_path / "run"),
    )

    assert outcome.code == 0, outcome.err
    text = (tmp_path / "run/config.toml").read_text()
    assert f"epochs = 7  # {file}" in text
    assert f"momentum = 0.5  # {file}" in text
    assert "log_every = 4  # environment" in text
    assert "seed = 8  # command line" in text
    assert "nesterov = true  # recipe resnet:small" in text
    assert f'source = "folders:{photos}"  # command line' in text


def test_another_optimizer_learns_at_its_own_rate_and_says_what_fell(zoo, photos, tmp_path) -> None:
    words = ("train", "resnet20", "--data", photos, "--max-steps", 1, *SMALL)

    outcome = zoo(*words, "--set", "optimizer.name=adamw", "--output", tmp_path / "run")

    optimizer = config_of(tmp_path / "run")["optimizer"]
    assert (optimizer["learning_rate"], optimizer["weight_decay"]) == (1e-3, 0.05)
    assert "# default of adamw" in (tmp_path / "run/config.toml").read_text()
    assert "optimizer.momentum = 0.9 (recipe resnet:small) was for sgd, not for" in outcome.err
    assert "optimizer.learning_rate = 0.05 (recipe resnet:small) was for sgd" in outcome.err


def test_a_recipes_batch_that_is_too_large_becomes_all_there_is(zoo, photos, tmp_path) -> None:
    words = ("train", "resnet20", "--data", photos, "--epochs", 1, "--image-size", 16)

    outcome = zoo(*words, "--device", "cpu", "--output", tmp_path / "run")

    assert outcome.code == 0
    assert "batches have 12 images, not 32 (recipe resnet:small)" in outcome.err
    assert config_of(tmp_path / "run")["training"]["batch_size"] == 12


def test_a_profile_stands_in_the_answer_and_on_the_console(zoo, photos, tmp_path) -> None:
    words = ("train", "resnet20", "--data", photos, "--max-steps", 8, *SMALL, "--json")

    outcome = zoo(*words, "--profile", 3, "--output", tmp_path / "run")

    profile = json.loads(outcome.out)["profile"]
    assert profile["steps"] == 3
    assert profile["ms_per_step"]["backward"] > 0
    assert "where the time of 3 steps went" in outcome.err


def test_everything_at_once_trains_and_resumes(zoo, photos, tmp_path) -> None:
    settings = {
        "callbacks.tensorboard": "true",
        "data.sampling": "balanced",
        "task.class_weights": "balanced",
        "task.loss": "binary_cross_entropy",
        "training.clip_norm": "1.0",
        "training.ema.decay": "0.9",
        "training.micro_batch_size": "2",
        "transforms.auto_augment": "trivial",
        "transforms.cutmix": "1.0",
        "transforms.erase": "0.5",
        "transforms.mixup": "0.2",
    }
    assignments = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
    words = ("train", "resnet20", "--data", photos, "--epochs", 2, *SMALL, *assignments)

    outcome = zoo(*words, "--output", tmp_path / "run")

    assert outcome.code == 0, outcome.err
    assert list((tmp_path / "run/tensorboard").glob("events.out.*"))
    assert load_best(tmp_path / "run/best").values["ema"] is True
    assert all(math.isfinite(line["val/loss"]) for line in map(flat, epochs_of(tmp_path / "run")))
    assert zoo("train", "--resume", tmp_path / "run").code == 0


def flat(line: dict) -> dict:
    return {**line, **line.get("metrics", {})}


def test_bad_images_are_left_out_where_that_is_asked_for(zoo, photos, tmp_path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(photos, broken)
    (broken / "train/red/0.jpg").write_bytes((photos / "train/red/0.jpg").read_bytes()[:99])
    words = ("train", "resnet20", "--data", broken, "--max-steps", 4, *SMALL)

    failed = zoo(*words, "--output", tmp_path / "failed")
    skipped = zoo(*words, "--on-bad-image", "skip", "--output", tmp_path / "skipped")

    assert failed.code == 2
    assert str(broken / "train/red/0.jpg") in failed.err
    assert skipped.code == 0
    assert str(Path("train/red/0.jpg")) in skipped.err
    assert len(json.loads((tmp_path / "skipped/data.json").read_text())["bad_images"]) == 1


def test_a_table_of_paths_and_labels_is_a_source(zoo, photos, tmp_path) -> None:
    rows = [
        f"{image},{image.parent.name},{split}"
        for split in ("train", "val")
        for image in sorted((photos / split).glob("*/*"))
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,split", *rows]))

    outcome = zoo(
        *("train", "resnet20", "--data", table, "--max-steps", 1, *SMALL),
        *("--output", tmp_path / "run"),
    )

    assert outcome.code == 0, outcome.err
    assert zoo("eval", tmp_path / "run").code == 0


# --- eval and predict -----------------------------------------------------------------------


def test_eval_gives_what_training_logged(zoo, finished: Path) -> None:
    best = max(map(flat, epochs_of(finished)), key=lambda line: line["val/top1"])

    outcome = zoo("eval", finished, "--json")

    metrics = json.loads(outcome.out)["metrics"]
    logged = {name: best[f"val/{name}"] for name in metrics}
    assert metrics == pytest.approx(logged, rel=1e-6)


def test_predict_names_the_likeliest_classes_and_draws_them(
    zoo, finished, photos, tmp_path
) -> None:
    red = photos / "val/red"

    text = zoo("predict", finished, red, "--top-k", 1)
    document = zoo("predict", finished, red / "0.jpg", red / "1.png", "--json", "--save", tmp_path)

    assert (text.code, document.code) == (0, 0)
    assert len(text.out.splitlines()) == 6
    images = json.loads(document.out)["images"]
    assert [image["path"] for image in images] == [str(red / "0.jpg"), str(red / "1.png")]
    assert all(sum(top["score"] for top in image["top"]) == pytest.approx(1) for image in images)
    assert {path.name for path in tmp_path.iterdir()} == {"0.png", "1.png"}


# --- from elsewhere -------------------------------------------------------------------------


def test_relative_paths_hold_from_another_folder(zoo, photos, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(photos.parent)
    run = Path(os.path.relpath(tmp_path / "run"))
    words = ("train", "resnet20", "--data", "photos", "--epochs", 2, "--max-steps", 2, *SMALL)
    assert zoo(*words, "--output", run).code == 0
    monkeypatch.chdir(tmp_path)

    evaluated = zoo("eval", "run")
    resumed = zoo("train", "--resume", "run")

    assert (evaluated.code, resumed.code) == (0, 0), evaluated.err + resumed.err


def test_a_run_and_its_data_may_be_moved(zoo, finished, photos, tmp_path) -> None:
    run, moved = tmp_path / "a run, ünïcode 日本" / ("long" * 50), tmp_path / "other place"
    shutil.copytree(finished, run)
    shutil.copytree(photos, moved)

    resumed = zoo("train", "--resume", run, "--data", moved)
    evaluated = zoo("eval", run)

    assert resumed.code == 0, resumed.err
    assert evaluated.code == 0, evaluated.err
    assert config_of(run)["data"]["source"] == f"folders:{moved}"


def test_a_resume_needs_no_file_that_the_run_began_with(zoo, finished, photos, tmp_path) -> None:
    (published,) = (finished / "best").glob("*.safetensors")
    weights = tmp_path / "start.safetensors"
    shutil.copy(published, weights)
    words = ("train", "resnet20", "--data", photos, "--epochs", 2, *SMALL)
    assert zoo(*words, "--weights", weights, "--output", tmp_path / "run").code == 0
    weights.unlink()

    outcome = zoo("train", "--resume", tmp_path / "run")

    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("place", [".", "best", "best/*.safetensors"])
def test_weights_of_a_run_begin_another_with_other_classes(
    zoo, finished, make_photos, tmp_path, place
) -> None:
    (weights,) = finished.glob(place) if "*" in place else [finished / place]
    three = make_photos(tmp_path / "three", classes=("blue", "green", "red"))
    words = ("train", "resnet20", "--data", three, "--max-steps", 2, *SMALL)

    outcome = zoo(
        *words, "--weights", weights, "--freeze", "backbone", "--output", tmp_path / "run"
    )

    assert outcome.code == 0, outcome.err
    assert "fc" in outcome.err
    assert "new" in outcome.err
    before, after = load_best(finished / "best").tensors, load_best(tmp_path / "run/best").tensors
    assert after["fc.weight"].shape == (3, 64)
    assert [k for k in before if not k.startswith("fc.") and not before[k].equal(after[k])] == []


# --- stopping and going on ------------------------------------------------------------------


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Six epochs without a break."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    words = ["train", "resnet20", "--data", str(photos), *LONG, "--output", str(folder)]
    assert run_words(words) == 0
    return folder


LONG = [*SMALL, "--epochs", "6", "--save-every", "2", "--set", "training.log_every=1"]


def start_and_send(number: int, photos: Path, folder: Path, tmp_path: Path) -> tuple[int, str]:
    """Train in a process of its own, and send it a signal in the third epoch."""
    script = tmp_path / "train.py"
    script.write_text(
        f"""import os, signal, sys
from zoo.training import Trainer
step = Trainer.train_step

def train_step(trainer, batch):
    step(trainer, batch)
    if trainer.state.step == 7:
        os.kill(os.getpid(), {number})

Trainer.train_step = train_step
from zoo.cli import main
main()
"""
    )
    words = ["train", "resnet20", "--data", str(photos), *LONG, "--output", str(folder)]
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_run_that_is_terminated_says_how_to_go_on_and_does(
    zoo, photos, unbroken, tmp_path
) -> None:
    code, told = start_and_send(signal.SIGTERM, photos, tmp_path / "run", tmp_path)
    assert code == 75, told
    assert f"zoo train --resume {tmp_path / 'run'}" in told

    resumed = zoo("train", "--resume", tmp_path / "run")

    assert resumed.code == 0, resumed.err
    assert_same_outcome(tmp_path / "run", unbroken)


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(
    zoo, photos, unbroken, tmp_path
) -> None:
    code, _ = start_and_send(signal.SIGKILL, photos, tmp_path / "run", tmp_path)
    assert code == -signal.SIGKILL

    resumed = zoo("train", "--resume", tmp_path / "run")

    assert resumed.code == 0, resumed.err
    assert_same_outcome(tmp_path / "run", unbroken)


# --- processes that read --------------------------------------------------------------------


class Readers(Callback):
    """Notes the processes that live, from the first step to the last evaluation."""

    def __init__(self) -> None:
        self.seen: list[set[int | None]] = []

    def on_step_end(self, trainer, progress) -> None:
        self.seen.append({process.pid for process in multiprocessing.active_children()})

    def on_epoch_end(self, trainer, progress, metrics) -> None:
        self.on_step_end(trainer, progress)


def test_training_and_evaluation_share_their_loader_processes(photos, finished, tmp_path) -> None:
    before = {process.pid for process in multiprocessing.active_children()}
    readers = Readers()
    config = {
        "model": {"name": "resnet20"},
        "data": {"source": photos, "image_size": 16, "workers": 2, "cache": "none"},
        "training": {"epochs": 2, "batch_size": 4},
        "machine": {"device": "cpu", "precision": "fp32"},
    }

    library.train(config, output=tmp_path / "run", callbacks=[readers])

    ours = [pids - before for pids in readers.seen]
    assert len(ours[0]) == 2
    assert all(pids == ours[0] for pids in ours)
    assert not ours[0] & {process.pid for process in multiprocessing.active_children()}
    assert_same_outcome(tmp_path / "run", finished)


# --- Python ---------------------------------------------------------------------------------


def test_python_does_what_the_command_line_does(photos, tmp_path) -> None:
    result = library.train(
        {
            "model": {"name": "resnet20"},
            "data": {"source": photos, "image_size": 16, "workers": 0},
            "training": {"epochs": 1, "batch_size": 4},
            "machine": {"device": "cpu", "precision": "fp32"},
        },
        output=tmp_path / "run",
    )

    answer = library.load_run(result.run)(photos / "val/red/0.jpg")
    scores = library.evaluate(result.run, device="cpu")
    assert answer["label"] in ("blue", "red")
    assert scores.metrics["top1"] == pytest.approx(result.fit.best)
    assert "resnet20" in library.list_models()
    assert library.build_model("resnet20", num_classes=2).fc.out_features == 2
