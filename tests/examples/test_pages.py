"""The pages on the examples: every file of theirs is explained, and what stands beside it works."""

import re
from pathlib import Path

import pytest
import torch

from zoo.distributions import new_plugin
from zoo.models import StagedModel

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "packages" / "examples"
PAGES = {
    "zoo-tinynet": (ROOT / "docs" / "adding-a-model.md").read_text(),
    "zoo-angle": (ROOT / "docs" / "adding-a-task.md").read_text(),
}
TOLD_ELSEWHERE = {"README.md", "__init__.py"}
PACKAGING = {"pyproject.toml", "noxfile.py"}
"""Of the first page; the second one does not tell it again."""


def files_of(project: Path) -> dict[str, str]:
    return {
        str(file.relative_to(project)): file.read_text()
        for file in project.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.parametrize(
    ("example", "left_out"),
    [("zoo-tinynet", TOLD_ELSEWHERE), ("zoo-angle", TOLD_ELSEWHERE | PACKAGING)],
)
def test_a_page_quotes_every_file(example: str, left_out: set[str]) -> None:
    quoted = re.findall(rf"<!-- table: file:{example}/(\S+) -->", PAGES[example])

    assert sorted(quoted) == sorted(
        name for name in files_of(EXAMPLES / example) if Path(name).name not in left_out
    )


def test_zoo_plugins_new_writes_zoo_tinynet(tmp_path: Path) -> None:
    project = new_plugin("tinynet", parent=tmp_path)

    assert project.name == "zoo-tinynet"
    assert files_of(project) == files_of(EXAMPLES / "zoo-tinynet")


def test_the_stages_of_the_page_make_a_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / "zoo-tinynet" / "src")
    quoted = r'title="zoo-tinynet/staged.py"\n(.*?)^```'
    code = re.search(quoted, PAGES["zoo-tinynet"], re.DOTALL | re.MULTILINE)
    names: dict = {}

    exec(code[1], names)
    model = names["StagedTinynet"](num_classes=10, in_channels=3, width=16)
    maps = model.stage_maps(torch.zeros(2, 3, 32, 32), ["layer2", "layer3"])

    assert isinstance(model, StagedModel)
    assert [tuple(m.shape) for m in maps.values()] == [(2, 32, 16, 16), (2, 64, 8, 8)]
