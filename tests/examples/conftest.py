"""The examples as strangers have them: wheels, beside core's, in an environment of their own."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
OURS = {
    tomllib.loads(file.read_text())["project"]["name"]
    for pattern in WORKSPACE["members"]
    for file in ROOT.glob(f"{pattern}/pyproject.toml")
}
TIMEOUT_S = 600


class Environment:
    """A virtual environment in which nothing of this checkout is, but what is installed into it.

    What others have made comes from the environment that runs the tests: the packages as links,
    their metadata as copies without a list of files, so that no installer can touch them.

    Attributes:
        folder: an empty one, in which commands run.
    """

    def __init__(self, root: Path) -> None:
        self.python = root / "environment" / "bin" / "python"
        self.folder = root / "work"
        self.folder.mkdir()
        venv.create(root / "environment", symlinks=True, with_pip=False)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "environment")}))
        links = root / "links"
        links.mkdir()
        (site / "others.pth").write_text(f"{links}\n")
        for distribution in others():
            _link_packages(distribution, links)
            _copy_metadata(distribution, site)

    def install(self, *wheels: Path) -> None:
        """Install wheels of ours, whose requirements are there."""
        uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet")
        self._call(*uv, "--python", self.python, *wheels, code=0)

    def run(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python, and expect an exit code."""
        return self._call(self.python, *words, code=code)

    def zoo(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run its command line."""
        return self._call(self.python.with_name("zoo"), *words, code=code)

    def document(self, *words: object) -> dict:
        """What a command says with ``--json``."""
        return json.loads(self.zoo(*words, "--json").stdout)

    def _call(self, *words: object, code: int) -> subprocess.CompletedProcess[str]:
        # Whatever the tester's uv is told elsewhere: here it has no network.
        foreign = ("UV_", "PYTHON", "VIRTUAL_ENV")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uv is there
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env={**own, "PATH": path, "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done


def others() -> Iterator[Distribution]:
    """What is installed where the tests run, and not made here."""
    for distribution in distributions(path=[sysconfig.get_path("purelib")]):
        if distribution.metadata["Name"] not in OURS:
            yield distribution


def _link_packages(distribution: Distribution, folder: Path) -> None:
    tops = {file.parts[0] for file in distribution.files or () if not file.name.endswith(".pth")}
    for top in tops - {"..", "__pycache__"}:
        target = Path(distribution.locate_file(top))
        if not top.endswith(".dist-info") and target.exists() and not (folder / top).exists():
            (folder / top).symlink_to(target)


def _copy_metadata(distribution: Distribution, site: Path) -> None:
    name = distribution.metadata["Name"].replace("-", "_")
    folder = site / f"{name}-{distribution.version}.dist-info"
    folder.mkdir()
    for file in ("METADATA", "entry_points.txt"):
        (folder / file).write_text(distribution.read_text(file) or "")
    (folder / "INSTALLER").write_text("tests\n")
    (folder / "RECORD").write_text("")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of core, the test kit and the examples, built without a network."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in ("core", "packages/zoo-testkit", *ROOT.glob("packages/examples/*/")):
        words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
        subprocess.run(
            [*words, "--directory", str(folder)],
            cwd=ROOT / project,
            capture_output=True,
            check=True,
        )
    return folder


MakeEnvironment = Callable[[str], Environment]


@pytest.fixture(scope="session")
def make_environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeEnvironment:
    """Make an environment with core and the kit, and an example that zoo installs into it."""

    def make(example: str) -> Environment:
        environment = Environment(tmp_path_factory.mktemp(example))
        environment.install(*wheels.glob("zoo_core-*.whl"), *wheels.glob("zoo_testkit-*.whl"))
        (wheel,) = wheels.glob(f"{example.replace('-', '_')}-*.whl")
        environment.zoo("plugins", "install", wheel)
        return environment

    return make
