"""A stranger's task from its wheel: no line of core knows angles, and everything does them."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

TRAIN = ("train", "anglenet", "--device", "cpu", "--epochs", "3")
KINDS = {
    "tasks": ["angle:angle"],
    "datasets": ["angle:dial-photos", "angle:dials"],
    "metrics": ["angle:angle-error"],
    "models": ["angle:anglenet"],
    "recipes": ["angle:angle"],
}
SAVE_DIALS = """
from pathlib import Path
from PIL import Image
from zoo_angle.dials import dials
val = dials()["val"]
for index in range(3):
    Image.fromarray(val.images[index, 0].numpy()).save(f"{index}.png")
print(val.targets["angles_deg"][:3].tolist())
"""

SAVE_PHOTOS = """
from pathlib import Path
from PIL import Image
from zoo_angle.dials import dials
val = dials()["val"]
folder = Path("photos")
folder.mkdir()
rows = ["path,angle_deg"]
for index in range(10):
    Image.fromarray(val.images[index, 0].numpy()).save(folder / f"{index}.png")
    rows.append(f"{index}.png,{val.targets['angles_deg'][index]}")
(folder / "angles.csv").write_text("\\n".join(rows))
"""


@pytest.fixture(scope="module")
def angle(make_environment):
    return make_environment("zoo-angle")


@pytest.fixture(scope="module")
def trained(angle):
    """The run ``first``, and what was said while it was made."""
    return angle.zoo(*TRAIN, "--output", "first").stderr


def test_its_task_data_metric_model_and_recipe_are_listed(angle):
    listed = {kind: angle.document("list", kind, "--task", "angle") for kind in KINDS}

    names = {kind: [card["full_name"] for card in cards] for kind, cards in listed.items()}
    assert names == KINDS


def test_it_learns_and_says_so_in_its_own_words(angle, trained):
    result = json.loads((angle.folder / "first" / "result.json").read_text())

    assert "data      dials: 2,000 train, 500 val images\n" in trained
    assert "training  recipe angle:angle, 3 epochs of 63 steps, batch size 32" in trained
    assert result["monitor"] == "val/mean_error_deg"
    assert result["best"] < 15  # chance is 90


def test_it_is_scored_with_exactly_what_training_measured(angle, trained):
    result = json.loads((angle.folder / "first" / "result.json").read_text())

    scored = angle.document("eval", "first", "--batch-size", "7")

    assert scored["metrics"]["mean_error_deg"] == pytest.approx(result["best"], abs=0.05)
    assert 0.5 < scored["metrics"]["within_10_deg_fraction"] <= 1
    assert (scored["images"], scored["classes"], scored["per_class"]) == (500, [], {})


def test_it_answers_in_json_and_in_pictures(angle, trained):
    truth = json.loads(angle.run("-c", SAVE_DIALS).stdout)

    answers = angle.document("predict", "first", "0.png", "1.png", "2.png", "--save", "answers")

    found = [answer["angle_deg"] for answer in answers["images"]]
    assert [(a - b + 180) % 360 - 180 for a, b in zip(found, truth, strict=True)] == pytest.approx(
        [0, 0, 0], abs=60
    )
    with Image.open(angle.folder / answers["images"][0]["picture"]) as picture:
        assert picture.size == (224, 224)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 16)}
    assert (255, 0, 0) in colours


def test_photos_that_somebody_has_are_learned_from_and_moved(angle):
    angle.run("-c", SAVE_PHOTOS)
    words = ("train", "anglenet", "--device", "cpu", "--epochs", "1", "--image-size", "32")

    checked = angle.document("data", "check", "dial-photos:photos/angles.csv")
    said = angle.zoo(*words, "--data", "dial-photos:photos/angles.csv", "--output", "own").stderr
    (angle.folder / "photos").rename(angle.folder / "moved")
    gone = angle.zoo("eval", "own", code=2).stderr
    scored = angle.document("eval", "own", "--data", "angle:dial-photos:moved/angles.csv")

    assert checked["problems"] == []
    assert "data      dial-photos: 8 train, 2 val images\n" in said
    assert "photos/angles.csv does not exist" in gone
    assert scored["images"] == 10


def test_a_run_that_was_stopped_goes_on_to_the_same_end(angle, trained):
    stopped = angle.zoo(*TRAIN, "--time-limit", "0.01", "--output", "second").stderr
    resumed = angle.zoo("train", "--resume", "second", "--time-limit", "9999").stderr

    first, second = (
        json.loads((angle.folder / run / "result.json").read_text()) for run in ("first", "second")
    )
    assert "reached --time-limit" in stopped
    assert "resumed   after step" in resumed
    assert (second["steps"], second["best"]) == (first["steps"], first["best"])


def test_its_own_tests_pass_beside_core_and_the_kit(angle):
    tests = Path(__file__).parents[2] / "packages" / "examples" / "zoo-angle" / "tests"
    shutil.copytree(tests, angle.folder / "tests")  # away from our settings of pytest

    said = angle.run("-m", "pytest", "-q", "tests").stdout

    assert " passed" in said
    assert " failed" not in said


def test_it_goes_and_nothing_of_it_is_left(make_environment):
    other = make_environment("zoo-angle")

    other.zoo("plugins", "uninstall", "angle", "--yes")

    assert {task["plugin"] for task in other.document("list", "tasks")} == {"core"}
    assert "unknown model 'anglenet'" in other.zoo("train", "anglenet", code=2).stderr
