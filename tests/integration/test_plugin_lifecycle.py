"""A plugin's life through the command line: new, install, its tests, train, check, uninstall.

It goes on in an environment of its own, which sees all that is installed where the tests run, so
that neither a network nor torch's installation is needed.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from pathlib import Path

import pytest

TIMEOUT_S = 600


class Overlay:
    """An environment over the one that runs the tests.

    Attributes:
        root: of the environment.
        folder: an empty one, in which commands run.
    """

    def __init__(self, root: Path, installer: str) -> None:
        self.root = root
        self.folder = root.parent / "work"
        self.folder.mkdir()
        self.python = root / "bin" / "python"
        venv.create(root, symlinks=True, with_pip=False)
        _show_what_is_installed(root)
        uv = shutil.which(
            "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        # Whatever the tester's uv and pip are told elsewhere, here they have no network.
        others = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_"))}
        self.environment = {
            **others,
            "PATH": str(Path(uv).parent) if installer == "uv" else "/usr/bin:/bin",
            "UV_CACHE_DIR": str(root.parent / "uv-cache"),
            "UV_NO_CONFIG": "1",
            "UV_OFFLINE": "1",
            "UV_NO_BUILD_ISOLATION": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's option is a double negation
        }

    def run(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run words with the environment's Python, and expect an exit code."""
        done = subprocess.run(
            [str(self.python), *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def zoo(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run("-c", "from zoo.cli import main; main()", *words, code=code)

    def document(self, *words: object, code: int = 0) -> object:
        """What a command says with ``--json``."""
        return json.loads(self.zoo(*words, "--json", code=code).stdout)

    def plugins(self) -> dict[str, dict[str, object]]:
        """The listing, by name."""
        return {plugin["name"]: plugin for plugin in self.document("plugins", "list")}


def _show_what_is_installed(root: Path) -> None:
    """Let an environment import what this one has, and its installer see that it is there."""
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root)}))
    here = sysconfig.get_path("purelib")
    (site / "below.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for distribution in distributions(path=[here]):
        # A copy without a list of files: whatever an installer does, ours stay.
        name = distribution.metadata["Name"].replace("-", "_")
        folder = site / f"{name}-{distribution.version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(distribution.read_text("METADATA"))
        (folder / "entry_points.txt").write_text(distribution.read_text("entry_points.txt") or "")
        (folder / "INSTALLER").write_text("tests\n")
        (folder / "RECORD").write_text("")


@pytest.fixture(params=["uv", "pip"])
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> Overlay:
    return Overlay(tmp_path / "environment", request.param)


def test_a_plugin_comes_and_goes(overlay: Overlay) -> None:
    project = overlay.document("plugins", "new", "edge-net")["project"]
    before = overlay.plugins()

    planned = overlay.document("plugins", "install", project, "--dry-run")
    untouched = overlay.plugins()
    done = overlay.document("plugins", "install", project)
    after = overlay.plugins()
    removed = overlay.document("plugins", "uninstall", "edge_net")

    change = {"name": "zoo-edge-net", "before": None, "after": "0.1.0"}
    assert [item["name"] for item in planned["changes"]] == ["zoo-edge-net"]
    assert not planned["done"]
    assert untouched == before
    assert (done["changes"], done["done"], done["broken"]) == ([change], True, [])
    assert [plugin["cards"]["model"] for plugin in done["brought"]] == [["edge_net"]]
    assert after.keys() - before.keys() == {"edge_net"}
    assert removed["changes"] == [{"name": "zoo-edge-net", "before": "0.1.0", "after": None}]
    assert overlay.plugins() == before
    assert (overlay.folder / project).is_dir()


@pytest.mark.parametrize("overlay", ["uv"], indirect=True)
def test_a_new_plugin_is_tested_trained_checked_and_removed(overlay: Overlay) -> None:
    told = overlay.zoo("plugins", "new", "edge-net").stdout
    commands = [line.split()[1:] for line in told.splitlines() if line.startswith("    zoo ")]
    assert [words[:2] for words in commands] == [
        ["plugins", "install"],
        ["train", "edge_net"],
        ["plugins", "check"],
    ]
    install, train, check = commands

    installed = overlay.zoo(*install).stdout
    tests = overlay.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "zoo-edge-net")
    overlay.zoo(*train, "--device", "cpu", "--max-steps", "3", "--output", "runs/first")
    checked = overlay.document(*check)
    removed = overlay.zoo("plugins", "uninstall", "edge-net", "--yes").stdout

    assert (
        "Plugin edge_net of zoo-edge-net 0.1.0 brings model edge_net; recipe edge_net" in installed
    )
    assert " passed" in tests.stdout
    assert (overlay.folder / "runs" / "first" / "result.json").is_file()
    assert {row["outcome"] for row in checked} == {"passed", "not applicable"}
    assert {row["kind"] for row in checked} >= {"model", "recipe", "plugin"}
    assert removed == "Removed zoo-edge-net 0.1.0.\n"
    assert "edge_net" not in overlay.plugins()


def test_a_plugin_that_wants_another_torch_is_refused_and_changes_nothing(overlay: Overlay) -> None:
    project = overlay.folder / overlay.document("plugins", "new", "edge-net")["project"]
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace("torch>=2.9", "torch==1.0"))

    refused = overlay.zoo("plugins", "install", project, code=1)

    assert "torch==1.0" in refused.stderr
    assert "stay as they are; what wants others needs an environment of its own" in refused.stderr
    assert "edge_net" not in overlay.plugins()


@pytest.mark.parametrize("overlay", ["uv"], indirect=True)
def test_a_plugin_that_fails_is_told_when_it_is_installed_and_can_be_removed(
    overlay: Overlay,
) -> None:
    project = overlay.folder / overlay.document("plugins", "new", "edge-net")["project"]
    plugin = project / "src" / "zoo_edge_net" / "plugin.py"

    plugin.write_text("import zoo_no_such_module\n")
    failed = overlay.zoo("plugins", "install", "--editable", project, code=1)
    plugin.write_text("import os; os._exit(3)\n")
    overlay.zoo("list", code=3)
    ended = overlay.zoo("plugins", "install", "--editable", project, code=1)
    removed = overlay.zoo("plugins", "uninstall", "zoo-edge-net")

    assert "edge_net of zoo-edge-net 0.1.0 fails: ModuleNotFoundError" in failed.stdout
    assert "pip install zoo_no_such_module" in failed.stdout
    assert "now a plugin ends the process while it loads (exit code 3)" in ended.stderr
    assert removed.stdout == "Removed zoo-edge-net 0.1.0.\n"
    assert "edge_net" not in overlay.plugins()


@pytest.mark.parametrize("overlay", ["uv"], indirect=True)
def test_an_upgrade_comes_from_where_the_plugin_came_from(overlay: Overlay) -> None:
    project = overlay.folder / overlay.document("plugins", "new", "edge-net")["project"]
    settings = project / "pyproject.toml"
    overlay.zoo("plugins", "install", project)
    settings.write_text(settings.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))

    upgraded = overlay.document("plugins", "upgrade", "edge_net")
    shutil.rmtree(project)
    gone = overlay.document("plugins", "upgrade", "edge_net")

    assert upgraded["changes"] == [{"name": "zoo-edge-net", "before": "0.1.0", "after": "0.2.0"}]
    assert [plugin["version"] for plugin in upgraded["brought"]] == ["0.2.0"]
    assert (gone["changes"], gone["done"]) == ([], False)
    assert "which is not there any more" in gone["notes"][0]
