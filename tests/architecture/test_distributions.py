"""The distributions: one version, typed, every requirement with a lower bound."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import zoo
from zoo.plugins import FIRST_PARTY

ROOT = Path(__file__).parents[2]
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECTS = {
    file.parent.name: tomllib.loads(file.read_text())["project"]
    for pattern in WORKSPACE["tool"]["uv"]["workspace"]["members"]
    for file in ROOT.glob(f"{pattern}/pyproject.toml")
}
OUR_NAMES = {project["name"] for project in PROJECTS.values()}


def requirements(project: dict[str, Any]) -> Iterator[Requirement]:
    extras = project.get("optional-dependencies", {})
    for lines in (project["dependencies"], *extras.values()):
        yield from map(Requirement, lines)


def unbounded(found: Iterator[Requirement]) -> list[str]:
    return [
        str(requirement)
        for requirement in found
        if not {specifier.operator for specifier in requirement.specifier} & {">=", "~=", "=="}
    ]


@pytest.mark.parametrize("member", PROJECTS)
def test_every_distribution_has_the_version_of_zoo(member: str) -> None:
    assert PROJECTS[member]["version"] == zoo.__version__


@pytest.mark.parametrize("member", PROJECTS)
def test_every_requirement_has_a_lower_bound(member: str) -> None:
    assert unbounded(requirements(PROJECTS[member])) == []


@pytest.mark.parametrize("group", WORKSPACE["dependency-groups"])
def test_every_requirement_of_developers_has_a_lower_bound(group: str) -> None:
    lines = [line for line in WORKSPACE["dependency-groups"][group] if isinstance(line, str)]

    found = [line for line in map(Requirement, lines) if line.name not in OUR_NAMES]

    assert unbounded(iter(found)) == []


@pytest.mark.parametrize("member", PROJECTS)
def test_every_distribution_runs_on_the_same_pythons_under_the_same_license(member: str) -> None:
    assert PROJECTS[member]["requires-python"] == ">=3.11"
    assert PROJECTS[member]["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    "package", sorted(ROOT.glob("*/src/*/")) + sorted(ROOT.glob("*/*/src/*/")), ids=lambda p: p.name
)
def test_every_package_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()


@pytest.mark.parametrize("plugin", sorted(ROOT.glob("plugins/*")), ids=lambda path: path.name)
def test_the_umbrella_brings_every_plugin(plugin: Path) -> None:
    names = {requirement.name for requirement in requirements(PROJECTS["vision-zoo"])}

    assert PROJECTS[plugin.name]["name"] in names


@pytest.mark.parametrize("plugin", sorted(ROOT.glob("plugins/*")), ids=lambda path: path.name)
def test_core_knows_whose_short_names_come_first(plugin: Path) -> None:
    assert PROJECTS[plugin.name]["name"] in FIRST_PARTY


def test_the_plain_way_of_the_readme_installs_all_that_the_umbrella_asks_for() -> None:
    readme = (ROOT / "README.md").read_text()
    folders = re.findall(r"-e \w+/?([\w-]*)", readme[readme.index("pip install -e core") :])

    installed = {PROJECTS[folder or "core"]["name"] for folder in folders}

    wanted = {Requirement(line).name for line in PROJECTS["vision-zoo"]["dependencies"]}
    assert installed == wanted | {"vision-zoo"}
