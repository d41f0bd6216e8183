"""The tutorial's plugin from its wheel: it comes, is trained, scored and used, and goes."""

import json

import pytest


@pytest.fixture(scope="module")
def tinynet(make_environment):
    return make_environment("zoo-tinynet")


@pytest.fixture(scope="module")
def run(tinynet):
    tinynet.zoo("train", "tinynet", "--device", "cpu", "--epochs", "2", "--output", "run")
    return tinynet.folder / "run"


def test_nothing_of_this_checkout_is_in_the_environment(tinynet):
    said = tinynet.run("-c", "import zoo, zoo_tinynet; print(zoo.__file__, zoo_tinynet.__file__)")

    assert said.stdout.count(str(tinynet.python.parents[1])) == 2


def test_it_is_listed_beside_core_alone(tinynet):
    plugins = tinynet.document("plugins", "list")

    assert [(plugin["name"], plugin["state"]) for plugin in plugins] == [
        ("core", "loaded"),
        ("tinynet", "loaded"),
    ]


def test_it_is_trained_and_scored(tinynet, run):
    scored = tinynet.document("eval", "run")

    assert scored["model"] == "tinynet:tinynet"
    assert scored["images"] == 360
    assert scored["metrics"]["top1"] == json.loads((run / "result.json").read_text())["best"] > 0.5


def test_it_says_what_is_on_an_image(tinynet, run):
    tinynet.run("-c", "from PIL import Image; Image.new('L', (9, 9), 200).save('grey.png')")

    answers = tinynet.document("predict", "run", "grey.png")["images"]

    assert answers[0]["label"] in "0123456789"


def test_it_goes_and_its_run_says_whose_it_was(make_environment, run):
    other = make_environment("zoo-tinynet")

    removed = other.zoo("plugins", "uninstall", "tinynet", "--yes").stdout

    assert "Removed zoo-tinynet 0.1.0." in removed
    assert "tinynet" not in other.zoo("list").stdout
    assert "pip install zoo-tinynet" in other.zoo("eval", run, code=2).stderr
