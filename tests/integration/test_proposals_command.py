"""``zoo proposals``, and proposers that a plugin brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.proposals import read_proposals

PLUGIN = """
from pathlib import Path
from zoo import ProposerCard, hookimpl

@hookimpl
def zoo_proposers():
    return [ProposerCard(name="halves", summary="left and right", factory="halves_plugin:halves")]

def halves(*, log: str, overlap: float = 0.0):
    def propose(image):
        with Path(log).open("a") as file:
            file.write(f"{image.shape}\\n")
        height, width = image.shape[:2]
        return [[0, 0, width / 2, height], [width / 2 - overlap, 0, width, height]], [2.0, 1.0]
    return propose
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten images of 40x48 px with a bright square in the left half."""
    root = tmp_path / "squares"
    root.mkdir()
    lines = ["path,xmin,ymin,xmax,ymax,class"]
    for number in range(10):
        pixels = np.full((40, 48, 3), number, dtype=np.uint8)
        pixels[5:35, 2:22] = 230
        Image.fromarray(pixels).save(root / f"{number}.png")
        lines.append(f"{number}.png,2,5,22,35,square")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root / "boxes.csv"


@pytest.fixture
def halves(tmp_path: Path) -> dict[str, str]:
    """An environment in which a plugin's proposer is installed."""
    site = tmp_path / "site"
    info = site / "zoo_halves-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-halves\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\nhalves = halves_plugin\n")
    (site / "halves_plugin.py").write_text(textwrap.dedent(PLUGIN))
    known = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), known]))}


def run(environment: dict[str, str], *words: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_says_how_many_objects_are_found(zoo: Any, table: Path) -> None:
    first = zoo("proposals", "build", f"csv:{table}", "--method", "grid", "--json")
    again = zoo("proposals", "build", f"csv:{table}", "--method", "grid")

    train, val = json.loads(first.out)
    assert (train["split"], train["images"], val["split"], val["images"]) == ("train", 8, "val", 2)
    assert train["recall"] == {"0.5": 1.0, "0.7": 0.0}
    assert read_proposals(Path(train["file"])).sha256() == train["sha256"]
    assert again.out.splitlines()[0].split()[:4] == ["split", "images", "for", "each"]
    assert again.out.splitlines()[1].split()[0] == "train"
    assert "Making" not in again.err


def test_options_of_a_method_change_what_it_makes(zoo: Any, table: Path) -> None:
    words = ("proposals", "build", f"csv:{table}", "--method", "grid", "--split", "val", "--json")

    [few] = json.loads(zoo(*words, "--set", "step=1.0").out)
    [many] = json.loads(zoo(*words).out)

    assert few["method"]["options"]["step"] == 1.0
    assert 0 < few["proposals"] < many["proposals"]


def test_one_file_for_all_splits_is_shown_and_never_replaced(
    zoo: Any, table: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.safetensors"
    words = ("proposals", "build", f"csv:{table}", "--method", "grid", "--output", file)

    made = zoo(*words)
    before = file.read_bytes()
    refused = zoo(*words)
    shown = json.loads(zoo("proposals", "show", file, "--json").out)

    assert (made.code, refused.code) == (0, 2)
    assert "exists already" in refused.err
    assert file.read_bytes() == before
    assert (shown["images"], shown["method"]) == (10, "rcnn:grid")
    assert str(file) in made.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "grids"], "Did you mean grid?"),
        (["--method", "grid", "--set", "stepp=1"], "step"),
        (["--method", "grid", "--set", "step=0.0"], "above 0"),
        (["--method", "grid", "--split", "vall"], "Did you mean val?"),
        (["--method", "rpn:/no/run"], "there is no folder /no/run"),
        (["--method", "rpn:/no/run", "--set", "a=1"], "takes no option"),
    ],
)
def test_what_cannot_be_made_is_said(zoo: Any, table: Path, words: list[str], said: str) -> None:
    outcome = zoo("proposals", "build", f"csv:{table}", *words)

    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.out == ""


def test_a_damaged_file_is_not_shown(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "some.safetensors").write_bytes(b"no proposals")

    outcome = zoo("proposals", "show", tmp_path / "some.safetensors")

    assert outcome.code == 2
    assert "zoo proposals build" in outcome.err


def test_a_plugins_proposer_is_listed_and_used(
    table: Path, tmp_path: Path, halves: dict[str, str]
) -> None:
    log = tmp_path / "log"

    listed = run(halves, "list", "proposers", "--json")
    built = run(
        halves, "proposals", "build", f"csv:{table}", "--method", "halves", "--json",
        "--set", f"log={log}", "--set", "overlap=3.0",
    )  # fmt: skip

    assert "halves" in {card["name"] for card in json.loads(listed.stdout)}
    train, val = json.loads(built.stdout)
    assert (train["proposals"], val["proposals"]) == (16, 4)
    assert train["method"]["maker"] == "zoo-halves 1"
    assert train["recall"] == {"0.5": 1.0, "0.7": 0.0}
    assert log.read_text().splitlines() == ["(40, 48, 3)"] * 10


def test_two_processes_of_a_run_make_its_proposals_once(
    table: Path, tmp_path: Path, halves: dict[str, str]
) -> None:
    log = tmp_path / "log"
    settings = {
        "data.proposals": "halves",
        "data.proposals_options.log": log,
        "model.backbone": "resnet20",
        "model.stage": "layer2",
        "model.head_width": 8,
        "data.workers": 0,
    }
    words = [f"--set={key}={value}" for key, value in settings.items()]

    done = run(
        halves, "train", "fast_rcnn", "--data", f"csv:{table}", "--gpus", 2, "--device", "cpu",
        "--precision", "fp32", "--max-steps", 2, "--batch-size", 4, "--image-size", 64,
        "--output", tmp_path / "run", *words,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(log.read_text().splitlines()) == 10
    assert done.stderr.count("Making proposals") == 2
