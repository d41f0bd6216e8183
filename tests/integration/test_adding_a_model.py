"""The page on adding a model, followed to the letter: its files, its card, its commands."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-model.md").read_text()
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def tinynet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package, with the metadata that ``pip install -e`` would leave."""
    root = tmp_path_factory.mktemp("page")
    for name, text in FILE.findall(PAGE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    source = root / "zoo-tinynet" / "src"
    (source / "zoo_tinynet" / "__init__.py").touch()
    project = tomllib.loads((root / "zoo-tinynet" / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["zoo.plugins"]
    metadata = source / "zoo_tinynet-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (metadata / "entry_points.txt").write_text(f"[zoo.plugins]\n{lines}")
    return root


@pytest.fixture
def zoo(tinynet: Path) -> Command:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return python("-m", "zoo", *words)

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=tinynet,
            env={**os.environ, "PYTHONPATH": str(tinynet / "zoo-tinynet" / "src")},
            capture_output=True,
            text=True,
            check=False,
        )

    command.python = python
    return command


def test_the_plugin_loads_and_imports_nothing_heavy(zoo: Command) -> None:
    listing = zoo("plugins", "list", "--json").stdout
    light = zoo.python("-c", "import sys, zoo_tinynet.plugin; sys.exit('torch' in sys.modules)")

    assert '"state": "loaded"' in listing.partition('"tinynet"')[2].partition("}")[0]
    assert light.returncode == 0


def test_the_card_states_what_is_counted(zoo: Command) -> None:
    layers = zoo("info", "tinynet", "--layers").stdout

    assert re.search(r"^parameters +24,346 ", layers, re.MULTILINE)
    assert re.search(r"^total +TinyNet +10 +24,346 +0\.0028$", layers, re.MULTILINE)


def test_the_model_trains_and_is_scored(zoo: Command) -> None:
    options = ("--device", "cpu", "--max-steps", "3", "--set", "model.width=8")

    trained = zoo("train", "tinynet", "--output", "runs/tinynet", *options)
    scored = zoo("eval", "runs/tinynet")

    assert (trained.returncode, scored.returncode) == (0, 0), trained.stderr + scored.stderr
    assert "runs/tinynet: tinynet:tinynet, step 3" in scored.stdout


def test_the_model_serves_as_a_backbone(zoo: Command) -> None:
    code = (
        "import torch, zoo; body = zoo.build_backbone('tinynet', out=['layer2', 'layer3']);"
        "maps = body(torch.zeros(2, 3, 32, 32));"
        "print([tuple(m.shape) for m in maps.values()], hasattr(body.module, 'fc'))"
    )

    said = zoo.python("-c", code)

    assert said.stdout == "[(2, 32, 16, 16), (2, 64, 8, 8)] False\n", said.stderr
