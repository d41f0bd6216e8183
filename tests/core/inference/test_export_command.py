"""``zoo export``, on a run made by hand, and the scripts of its page."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from zoo.cards import InputSpec
from zoo.checkpoint import load_best, save_best
from zoo.inference import ModelRecord, load_run
from zoo.registry import default_registry

Zoo = Callable[..., tuple[int, str, str]]
PAGE = Path(__file__).parents[3] / "docs/export.md"


def run_script(name: str, *arguments: object) -> str:
    """Run a script of the page; what it prints."""
    [code] = re.findall(
        rf"<!-- script: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    assert "zoo" not in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)
    result = subprocess.run(
        [sys.executable, "-I", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def test_a_run_is_written_and_what_was_compared_is_said(tiny_run: Path, zoo: Zoo) -> None:
    path = tiny_run.with_name("tiny.pt2")

    code, out, err = zoo("export", tiny_run, "--output", path)

    title, taken, answered, parity = out.splitlines()
    assert code == 0
    assert title.startswith(f"{path}: tiny:tiny, pt2 (torch.export), ")
    assert taken == "input   images  uint8 (batch, 3, 8, 8)"
    assert answered == "output  scores  float32 (batch, 2)"
    assert parity.endswith("(1e-04 allowed), on 4 validation and 4 random images")
    assert [line.split()[0] for line in err.splitlines()] == ["tracing", "converting", "comparing"]
    assert path.is_file()


def test_json_is_one_document_with_what_the_file_says(tiny_run: Path, zoo: Zoo) -> None:
    path = tiny_run.with_name("tiny.pt2")

    code, out, _ = zoo("export", tiny_run, "--output", path, "--batch-size", 2, "--json")

    document = json.loads(out)
    assert code == 0
    assert document["path"] == str(path)
    assert document["size_bytes"] == path.stat().st_size
    assert document["about"]["classes"] == ["blau", "rot"]
    assert document["about"]["metrics"] == {"val/top1": 1.0}
    assert {shape[0] for shape in document["parity"]["shapes"]} == {2}
    assert document["parity"]["difference"] <= document["parity"]["tolerance"]


def test_a_model_by_name_needs_weights_and_no_run(plugin: None, tmp_path: Path, zoo: Zoo) -> None:
    path = tmp_path / "tiny.pt2"

    without, _, said = zoo("export", "tiny", "--output", path)
    code, out, _ = zoo("export", "tiny", "--weights", "colours", "--output", path)

    assert (without, code) == (2, 0)
    assert "has no weights until they are named" in said
    assert "on 0 validation and 4 random images" in out


def test_another_size_is_another_preprocessing_without_the_runs_scores(
    tiny_run: Path, zoo: Zoo
) -> None:
    path = tiny_run.with_name("tiny.pt2")

    _, out, _ = zoo("export", tiny_run, "--output", path, "--image-size", 16, "--json")

    about = json.loads(out)["about"]
    assert (about["input"]["height"], about["metrics"]) == (16, {})


def test_another_checkpoint_has_its_own_weights(tiny_run: Path, zoo: Zoo) -> None:
    path = tiny_run.with_name("tiny.pt2")

    _, out, _ = zoo("export", tiny_run, "--output", path, "--checkpoint", "last", "--json")

    assert json.loads(out)["about"]["step"] == 9


def test_a_run_whose_data_are_gone_is_compared_on_random_images_and_says_so(
    tiny_run: Path, photos: Path, zoo: Zoo
) -> None:
    shutil.rmtree(photos)

    code, out, err = zoo("export", tiny_run, "--output", tiny_run.with_name("tiny.pt2"))

    assert code == 0
    assert "compared on random images alone, without the run's own: " in err
    assert "on 0 validation and 4 random images" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image-size", "dynamic"], "resize each image to a square"),
        (["--image-size", "8x16"], "resize each image to a square"),
        (["--image-size", "wide"], "'wide' is not PX, HEIGHTxWIDTH or dynamic"),
        (["--batch-size", "0"], "0 is not in the range"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    tiny_run: Path, zoo: Zoo, words: list[str], said: str
) -> None:
    path = tiny_run.with_name("tiny.pt2")

    code, _, err = zoo("export", tiny_run, "--output", path, *words)

    assert code == 2
    assert said in err
    assert not path.exists()


def test_a_missing_library_is_named_before_any_work(
    tiny_run: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)

    code, _, err = zoo("export", tiny_run, "--output", tiny_run.with_name("tiny.onnx"))

    assert code == 2
    assert err == ("Error: ONNX needs onnx, which is not installed\npip install 'zoo-core[onnx]'\n")


def test_a_model_whose_card_says_that_it_cannot_be_exported_is_not_tried(
    tiny_run: Path, zoo: Zoo
) -> None:
    card = default_registry().get("model", "tiny").card
    object.__setattr__(card, "tags", ("no-export",))

    code, _, err = zoo("export", tiny_run, "--output", tiny_run.with_name("tiny.pt2"))

    assert code == 1
    assert "tiny:tiny cannot be exported, says its plugin (zoo-tiny)" in err
    assert "tracing" not in err


def test_a_model_of_one_size_is_exported_at_that_size_alone(tiny_run: Path, zoo: Zoo) -> None:
    card = default_registry().get("model", "tiny").card
    object.__setattr__(card, "tags", ("fixed-size",))
    path = tiny_run.with_name("tiny.pt2")

    refused, _, err = zoo("export", tiny_run, "--output", path, "--image-size", 16)
    code, _, _ = zoo("export", tiny_run, "--output", path, "--image-size", 8)

    assert (refused, code) == (2, 0)
    assert "tiny:tiny takes images of 8 px alone" in err


@pytest.mark.parametrize("resize_px", [None, 10])
def test_the_classifying_script_says_what_predict_says(
    tiny_run: Path, record: ModelRecord, zoo: Zoo, resize_px: int | None
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    weights = load_best(tiny_run / "best").tensors
    spec = InputSpec(size_px=8, resize_px=resize_px)
    save_best(tiny_run / "best", weights, replace(record, input=spec).to_json())
    photo = tiny_run.with_name("photo.png")
    picture = Image.linear_gradient("L").resize((60, 40))
    Image.merge("RGB", (picture, picture.rotate(180), picture.rotate(90))).save(photo)
    path = tiny_run.with_name("tiny.onnx")

    code, _, err = zoo("export", tiny_run, "--output", path)
    printed = run_script("classify.py", path, photo)

    wanted = load_run(tiny_run, device="cpu", precision="fp32")(photo)["top"]
    labels, percent = zip(*(line.split()[:2] for line in printed.splitlines()), strict=True)
    assert code == 0, err
    assert list(labels) == [each["label"] for each in wanted]
    assert [float(number) for number in percent] == pytest.approx(
        [100 * each["score"] for each in wanted], abs=0.6
    )
