"""A predictor answers alike for files, Pillow images and tensors, and loads from any run."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from zoo.checkpoint import save_best, save_checkpoint
from zoo.devices import choose_precision
from zoo.errors import (
    CheckpointError,
    DataError,
    PluginError,
    RunFolderError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from zoo.inference import ModelRecord, Predictor, load_model, load_run
from zoo.registry import default_registry
from zoo.tasks import ClassificationTask

CPU = torch.device("cpu")
RED, BLUE = (220, 20, 20), (20, 20, 220)
WEIGHTS = {
    "2.weight": torch.tensor([[-3.0, 0.0, 3.0], [3.0, 0.0, -3.0]]),
    "2.bias": torch.zeros(2),
}


def _red(**_: Any) -> Image.Image:
    return Image.new("RGB", (40, 30), RED)


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


FORMS: dict[str, Callable[[Image.Image, Path], Any]] = {
    "path": lambda image, path: path,
    "text": lambda image, path: str(path),
    "pillow": lambda image, path: image,
    "uint8": lambda image, path: _tensor(image),
    "float": lambda image, path: _tensor(image).float() / 255,
    "cmyk": lambda image, path: image.convert("CMYK"),
    "palette": lambda image, path: image.convert("P"),
    "transparent": lambda image, path: image.convert("RGBA"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_answer(
    tiny_run: Path, tmp_path: Path, form: str
) -> None:
    predictor = load_run(tiny_run, precision="fp32")
    image, path = _red(), tmp_path / "red.png"
    image.save(path)

    answer = predictor(FORMS[form](image, path))

    assert answer["label"] == "rot"
    assert answer["score"] == pytest.approx(predictor(path)["score"], abs=0.02)


def test_several_images_give_a_list_in_their_order(tiny_run: Path) -> None:
    predictor = load_run(tiny_run)
    images = [Image.new("RGB", (8 + n, 9), colour) for n, colour in enumerate([RED, BLUE] * 3)]

    answers = predictor(images, batch_size=4)

    assert [answer["label"] for answer in answers] == ["rot", "blau"] * 3


def test_a_batch_tensor_is_several_images(tiny_run: Path) -> None:
    answers = load_run(tiny_run)(torch.stack([_tensor(_red())] * 2))

    assert [answer["label"] for answer in answers] == ["rot", "rot"]


def test_no_image_gives_no_answer(tiny_run: Path) -> None:
    assert load_run(tiny_run)([]) == []


def test_images_of_many_sizes_can_be_resized_on_the_device(
    tiny_run: Path, record: ModelRecord
) -> None:
    save_best(tiny_run / "best", WEIGHTS, replace(record, transforms={"crop": "none"}).to_json())
    images = [Image.new("RGB", (9, 5), RED), Image.new("RGB", (4, 4), BLUE), _red()]

    answers = load_run(tiny_run)(images)

    assert [answer["label"] for answer in answers] == ["rot", "blau", "rot"]


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(3, 4),
        torch.zeros(7, 4, 4),
        torch.zeros(3, 0, 4),
        torch.zeros(3, 4, 4, dtype=torch.int64),
        torch.full((3, 4, 4), 1.5),
        torch.full((3, 4, 4), float("nan")),
    ],
)
def test_a_tensor_that_is_no_image_is_refused(tiny_run: Path, bad: torch.Tensor) -> None:
    with pytest.raises(DataError, match="tensor"):
        load_run(tiny_run)(bad)


def test_a_file_that_is_no_image_is_named(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("hello")

    with pytest.raises(DataError, match=r"notes\.jpg"):
        load_run(tiny_run)(tmp_path / "notes.jpg")


@pytest.mark.parametrize(
    ("checkpoint", "label", "step"),
    [("best", "rot", 6), ("last", "blau", 9), ("step-6", "blau", 6)],
)
def test_the_checkpoint_that_is_asked_for_answers(
    tiny_run: Path, checkpoint: str, label: str, step: int
) -> None:
    predictor = load_run(tiny_run, checkpoint=checkpoint)

    assert predictor(_red())["label"] == label
    assert predictor.record.step == step


def test_the_average_of_a_checkpoint_answers_where_the_run_has_one(
    tiny_run: Path, record: ModelRecord
) -> None:
    wrong = {f"model/{name}": -tensor for name, tensor in WEIGHTS.items()}
    right = {f"ema/{name}": tensor for name, tensor in WEIGHTS.items()}
    values = {"record": replace(record, ema=True).to_json()}
    save_checkpoint(tiny_run / "checkpoints", 12, wrong | right, values, keep_last=2)

    predictor = load_run(tiny_run, checkpoint="last")

    assert predictor(_red())["label"] == "rot"


def test_a_damaged_newest_checkpoint_gives_way_and_nothing_in_the_run_changes(
    tiny_run: Path,
) -> None:
    (damaged,) = (tiny_run / "checkpoints/step-9").glob("*.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    before = sorted(tiny_run.rglob("*"))
    heard: list[str] = []

    predictor = load_run(tiny_run, checkpoint="last", warn=heard.append)

    assert predictor.record.step == 6
    assert "step-9" in heard[0]
    assert sorted(tiny_run.rglob("*")) == before


@pytest.mark.parametrize(
    ("checkpoint", "error", "message"),
    [
        ("newest", UsageError, "unknown checkpoint 'newest'"),
        ("step-7", UnknownNameError, "step-7"),
    ],
)
def test_a_checkpoint_that_does_not_exist_is_refused(
    tiny_run: Path, checkpoint: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_run(tiny_run, checkpoint=checkpoint)


def test_a_run_without_best_weights_says_so(tiny_run: Path) -> None:
    shutil.rmtree(tiny_run / "best")

    with pytest.raises(CheckpointError, match="no best weights yet"):
        load_run(tiny_run)


def test_damaged_best_weights_name_others(tiny_run: Path) -> None:
    next((tiny_run / "best").glob("*.safetensors")).write_bytes(b"x")

    with pytest.raises(CheckpointError, match=r"is damaged(?s:.*)--checkpoint last"):
        load_run(tiny_run)


def test_a_run_that_was_moved_still_answers(tiny_run: Path, tmp_path: Path) -> None:
    moved = shutil.move(tiny_run, tmp_path / "elsewhere")

    assert load_run(moved)(_red())["label"] == "rot"


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_what_is_no_run_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(RunFolderError):
        load_run(tmp_path / what)


def test_a_plugin_that_is_missing_is_named(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "")
    default_registry.cache_clear()

    with pytest.raises(PluginError, match="tiny") as error:
        load_run(tiny_run)

    assert error.value.exit_code == 2


def test_a_plugin_that_was_never_installed_is_named_with_its_distribution(
    tiny_run: Path, record: ModelRecord
) -> None:
    gone = replace(record, model="gone:net", distribution="zoo-gone")
    save_best(tiny_run / "best", WEIGHTS, gone.to_json())

    with pytest.raises(PluginError, match=r"gone:net.*zoo-gone 0\.1") as error:
        load_run(tiny_run)

    assert error.value.cure == "Install it: pip install zoo-gone"


def test_weights_of_another_shape_are_refused(tiny_run: Path, record: ModelRecord) -> None:
    save_best(tiny_run / "best", WEIGHTS, replace(record, num_classes=3).to_json())

    with pytest.raises(WeightsError, match="fit"):
        load_run(tiny_run)


def test_options_of_the_task_can_be_told_anew(tiny_run: Path) -> None:
    answer = load_run(tiny_run, task_options={"top_k": 1})(_red())

    assert len(answer["top"]) == 1


def test_a_predictor_leaves_no_gradients_and_no_training_mode(tiny_run: Path) -> None:
    predictor = load_run(tiny_run)

    assert not any(parameter.requires_grad for parameter in predictor.model.parameters())
    assert not any(module.training for module in predictor.model.modules())


def test_a_model_answers_with_its_published_weights(plugin: None) -> None:
    predictor = load_model("tiny", "colours")

    assert predictor(_red())["label"] == "rot"
    assert predictor.record.weights == "colours"


def test_published_weights_bring_the_options_of_their_model(plugin: None) -> None:
    predictor = load_model("tiny", "unbiased")

    assert predictor(_red())["label"] == "rot"
    assert predictor.record.options == {"bias": False}


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", "bf16"), ("cuda", choose_precision("auto", CPU))]
)
def test_a_run_answers_at_its_own_precision_on_a_device_of_its_kind(
    tiny_run: Path, device: str, expected: str
) -> None:
    config = tiny_run / "config.toml"
    machine = f'\n[machine]\ndevice = "{device}"\nprecision = "bf16"\n'
    kept = config.read_text().partition("\n[machine]")[0]
    config.write_text(kept + machine)

    assert load_run(tiny_run, device="cpu").precision == expected
    assert load_run(tiny_run, device="cpu", precision="fp32").precision == "fp32"


def test_a_model_answers_with_the_weights_of_a_file(plugin: None, tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors")

    predictor: Predictor = load_model("tiny", str(tmp_path / "w.safetensors"))

    assert predictor.classes == ("0", "1")
    assert predictor(_red())["index"] == 1


def test_the_classes_of_a_file_are_counted(plugin: None, tmp_path: Path) -> None:
    tensors = {"2.weight": torch.randn(5, 3), "2.bias": torch.randn(5)}
    save_file(tensors, tmp_path / "w.safetensors")

    assert len(load_model("tiny", str(tmp_path / "w.safetensors")).classes) == 5


def test_a_file_of_another_model_is_refused(plugin: None, tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(2, 2)}, tmp_path / "w.safetensors")

    with pytest.raises(WeightsError, match=r"2\.weight"):
        load_model("tiny", str(tmp_path / "w.safetensors"))


def test_for_many_images_a_folded_copy_answers(
    record: ModelRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    )
    model[1].running_var.uniform_(0.5, 2.0)
    predictor = Predictor(model, ClassificationTask(classes=record.classes), record, device=CPU)
    images = [Image.new("RGB", (9, 9), colour) for colour in (RED, BLUE, RED)]
    seen: list[nn.Module] = []
    model.register_forward_hook(lambda module, _x, _y: seen.append(module))
    monkeypatch.setattr("zoo.inference._predictor.FOLDING_PAYS_FROM", 3)

    few = predictor(images[:2])
    many = predictor(images, batch_size=2)

    assert [answer["score"] for answer in many[:2]] == pytest.approx(
        [answer["score"] for answer in few], rel=1e-5
    )
    assert many[2]["score"] == pytest.approx(many[0]["score"], rel=1e-5)
    assert [module is model for module in seen[-2:]] == [False, False]
    assert predictor.model is model
