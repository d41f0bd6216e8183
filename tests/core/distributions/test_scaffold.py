"""A new plugin is a whole project with one name all over, or nothing is written."""

from pathlib import Path

import pytest

import zoo.distributions
from zoo.distributions import new_plugin
from zoo.errors import UsageError


def texts(folder):
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return {str(file.relative_to(folder)): file.read_text() for file in files}


def test_a_new_plugin_bears_its_name_everywhere(tmp_path):
    project = new_plugin("edge-net", parent=tmp_path)

    files = texts(project)
    assert project == tmp_path / "zoo-edge-net"
    assert {"pyproject.toml", "README.md", "tests/test_edge_net.py"} <= files.keys()
    assert {"src/zoo_edge_net/plugin.py", "src/zoo_edge_net/edge_net.py"} <= files.keys()
    assert 'name = "zoo-edge-net"' in files["pyproject.toml"]
    assert 'edge_net = "zoo_edge_net.plugin"' in files["pyproject.toml"]
    assert "class EdgeNet(" in files["src/zoo_edge_net/edge_net.py"]
    assert not [name for name, text in files.items() if "tinynet" in (name + text).lower()]
    assert [path.name for path in tmp_path.iterdir()] == ["zoo-edge-net"]


def test_the_template_is_what_its_own_name_gives(tmp_path):
    project = new_plugin("tinynet", parent=tmp_path / "new")

    template = Path(zoo.distributions.__file__).parent / "plugin_template"
    assert texts(project) == texts(template)


def test_the_name_of_a_distribution_makes_the_plugin_of_that_distribution(tmp_path):
    project = new_plugin("zoo-edge-net", parent=tmp_path)

    assert project == tmp_path / "zoo-edge-net"
    assert (project / "src" / "zoo_edge_net" / "edge_net.py").exists()


def test_a_folder_that_exists_is_left_alone(tmp_path):
    tmp_path.joinpath("zoo-edge-net").mkdir()
    tmp_path.joinpath("zoo-edge-net", "mine").write_text("mine")

    with pytest.raises(UsageError, match="zoo-edge-net exists"):
        new_plugin("edge_net", parent=tmp_path)

    assert texts(tmp_path) == {"zoo-edge-net/mine": "mine"}


@pytest.mark.parametrize(
    "name", ["", "Edge", "2net", "edge.net", "edge--net", "../edge", "édge", "e" * 41, "edge-"]
)
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="is no name for a plugin"):
        new_plugin(name, parent=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "torch", "plugin", "zoo", "core"])
def test_a_name_that_would_hide_another_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="would hide something"):
        new_plugin(name, parent=tmp_path)


def test_the_name_of_an_installed_plugin_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a plugin 'edge-net' is installed already"):
        new_plugin("edge-net", parent=tmp_path, installed=["edge_net"])
