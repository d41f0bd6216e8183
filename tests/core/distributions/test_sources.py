"""What a user wants installed is told apart: names, folders, files, addresses."""

import pytest

from zoo.distributions._sources import Source, read_source
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("zoo-tinynet", "zoo-tinynet"),
        ("zoo-tinynet[extra]>=1,<2", "zoo-tinynet[extra]>=1,<2"),
        ("git+https://example.org/t.git@v1", "git+https://example.org/t.git@v1"),
        ("https://example.org/t.git", "git+https://example.org/t.git"),
        ("git@example.org:me/t.git", "git+ssh://git@example.org/me/t.git"),
        ("https://example.org/t-1-py3-none-any.whl", "https://example.org/t-1-py3-none-any.whl"),
        ("t @ https://example.org/t.zip", "t @ https://example.org/t.zip"),
        ("t @ git+https://example.org/t.git", "t @ git+https://example.org/t.git"),
    ],
)
def test_names_and_addresses_are_given_to_the_installer(text, requirement):
    assert read_source(text) == Source(requirement)


def test_a_folder_that_is_there_comes_before_a_name(tmp_path, monkeypatch):
    project = tmp_path / "zoo-edge-net"
    project.mkdir()
    project.joinpath("pyproject.toml").write_text('[project]\nname = "edge"\n')
    monkeypatch.chdir(tmp_path)

    assert read_source("zoo-edge-net") == Source(str(project), "edge")


@pytest.mark.parametrize("settings", ["[project]\n", "not toml", "project = 1"])
def test_a_project_that_does_not_say_its_name_is_left_to_the_installer(tmp_path, settings):
    tmp_path.joinpath("pyproject.toml").write_text(settings)

    assert read_source(str(tmp_path)) == Source(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("zoo_edge_net-0.1-py3-none-any.whl", "zoo-edge-net"),
        ("zoo_edge_net-0.1.tar.gz", "zoo-edge-net"),
        ("zoo-edge-net-0.1.tar.gz", "zoo-edge-net"),
        ("main.zip", None),
        ("odd.whl", None),
    ],
)
def test_an_archive_says_its_name(tmp_path, file, name):
    archive = tmp_path / file
    archive.touch()

    assert read_source(str(archive)) == Source(str(archive), name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("--index-url=https://example.org", "is no name, path or address"),
        ("-e", "is no name, path or address"),
        ("./nowhere", "there is no nowhere"),
        ("gone.whl", "there is no gone.whl"),
    ],
)
def test_what_cannot_be_installed_is_refused(text, reason):
    with pytest.raises(UsageError, match=reason):
        read_source(text)


def test_a_folder_without_a_project_and_a_file_that_is_no_archive_are_refused(tmp_path):
    tmp_path.joinpath("notes.txt").touch()

    with pytest.raises(UsageError, match=r"has no pyproject.toml"):
        read_source(str(tmp_path))
    with pytest.raises(UsageError, match="is no wheel"):
        read_source(str(tmp_path / "notes.txt"))
