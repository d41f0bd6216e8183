"""Names of plugins and distributions, from metadata alone: what is broken can be removed."""

import json

import pytest

from zoo.cli._main import run
from zoo.distributions import plan_uninstall, plan_upgrade, plugin_distributions
from zoo.distributions._changes import _requirement
from zoo.distributions._installed import home_page, origin, resolve_distribution
from zoo.errors import UnknownNameError, UsageError

BROKEN = "raise KeyboardInterrupt"


def test_the_plugins_of_each_distribution_are_read_without_loading_them(site):
    site.install("zoo-edge-net", BROKEN, name="edge")

    assert plugin_distributions()["zoo-edge-net"] == ["edge"]


@pytest.mark.parametrize("name", ["the_edge", "the-edge", "zoo-edge-net", "zoo_edge.NET"])
def test_a_plugins_and_a_distributions_name_mean_the_distribution(site, name):
    site.install("zoo-edge-net", BROKEN, name="the_edge")

    assert resolve_distribution(name) == "zoo-edge-net"


@pytest.mark.parametrize("name", ["zoo-core", "Zoo_Core", "core", "zoo"])
def test_zoo_itself_is_never_removed(name):
    with pytest.raises(UsageError, match="zoo-core is zoo itself"):
        plan_uninstall([name])


def test_what_is_no_plugin_is_left_to_its_installer():
    with pytest.raises(UsageError, match="click brings no plugin of zoo"):
        plan_uninstall(["click"])


def test_an_unknown_name_has_a_near_one(site):
    site.install("zoo-edge-net", BROKEN, name="edge")

    with pytest.raises(UnknownNameError, match="Did you mean zoo-edge-net"):
        resolve_distribution("zoo-edge-nett")


def test_a_plugin_whose_distribution_is_not_known_is_not_removed(site):
    site.install("zoo-edge-net", BROKEN, name="edge")
    site.folder.joinpath("zoo_edge_net-0.1.dist-info", "METADATA").unlink()

    with pytest.raises(UsageError, match="no metadata say which distribution 'edge' is of"):
        resolve_distribution("edge")


def test_an_upgrade_of_all_leaves_out_what_nobody_can_name(site, monkeypatch):
    site.install("zoo-edge-net", BROKEN, name="edge")
    site.install("zoo-far-net", BROKEN, name="far")
    site.folder.joinpath("zoo_edge_net-0.1.dist-info", "METADATA").unlink()
    monkeypatch.setattr("zoo.distributions._installer.Installer.preview", lambda *_: [])

    with plan_upgrade() as plan:
        words = plan.command

    assert "zoo-far-net" in words
    assert "unknown" not in words


def test_a_plugin_name_of_two_distributions_is_refused(site):
    site.install("edge-a", BROKEN, name="edge")
    site.install("edge-b", BROKEN, name="edge")

    with pytest.raises(UsageError, match="plugin 'edge' is of edge-a and of edge-b"):
        resolve_distribution("edge")


def test_a_removal_says_what_goes_with_it(site, capsys):
    site.install("zoo-edge-net", BROKEN, name="edge")
    entry_points = site.folder / "zoo_edge_net-0.1.dist-info" / "entry_points.txt"
    entry_points.write_text("[zoo.plugins]\nedge = a\nother = b\n")

    code = run(["plugins", "uninstall", "edge", "--dry-run"])

    out, err = capsys.readouterr()
    assert (code, out) == (0, "")
    assert "zoo-edge-net brings the plugins edge and other." in err
    assert "uninstall" in err
    assert "zoo-edge-net: 0.1 -> removed" in err


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ((), ""),
        (("Home-page: https://e.org",), "https://e.org"),
        (("Project-URL: Homepage, https://e.org", "Project-URL: Docs, https://d.org"), "https://e.org"),
        (("Project-URL: Homepage, https://e.org", "Project-URL: Bug Tracker, https://b.org"),
         "https://b.org"),
    ],
)  # fmt: skip
def test_where_to_report_is_read_from_the_metadata(site, lines, address):
    site.install("edge", metadata=lines)

    assert home_page("edge") == address


@pytest.mark.parametrize(
    ("came_from", "requirement"),
    [
        ({}, "edge"),
        ({"url": "file:///edge", "dir_info": {}}, "edge @ file:///edge"),
        (
            {"url": "https://e.org/e.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "edge @ git+https://e.org/e.git",
        ),
        (
            {
                "url": "https://e.org/e.git",
                "vcs_info": {"vcs": "git", "commit_id": "1", "requested_revision": "v1"},
                "subdirectory": "plugins/edge",
            },
            "edge @ git+https://e.org/e.git@v1#subdirectory=plugins/edge",
        ),
    ],
    ids=["index", "folder", "git", "git at a revision"],
)
def test_an_upgrade_is_asked_for_where_the_distribution_came_from(came_from, requirement):
    assert _requirement("edge", came_from) == requirement


def test_where_a_distribution_came_from_is_read_from_its_record(site):
    site.install("edge")
    site.install("edge-b")
    record = {"url": "file:///edge", "dir_info": {"editable": True}}
    site.folder.joinpath("edge-0.1.dist-info", "direct_url.json").write_text(json.dumps(record))

    assert origin("edge") == record
    assert origin("edge-b") == {}
