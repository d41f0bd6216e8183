"""Distributions that pip might have installed, as folders of metadata on ``sys.path``."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

GROUP = "zoo.plugins"


class FakeSite:
    """A folder of installed distributions.

    Attributes:
        folder: on ``sys.path``, like ``site-packages``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        code: str = "",
        *,
        name: str = "",
        target: str = "",
        metadata: Sequence[str] = (),
    ) -> None:
        """Install version 0.1 of a distribution with one plugin.

        Args:
            code: of the plugin's module, after the imports that every plugin has.
            name: of the entry point; default: the distribution's.
            target: of the entry point; default: the plugin's module.
            metadata: more lines of it, such as "Requires-Dist: zoo-core>=2".
        """
        module = distribution.replace("-", "_")
        folder = self.folder / f"{module}-0.1.dist-info"
        folder.mkdir()
        lines = (f"Name: {distribution}", "Version: 0.1", *metadata)
        folder.joinpath("METADATA").write_text("\n".join(lines) + "\n")
        folder.joinpath("entry_points.txt").write_text(
            f"[{GROUP}]\n{name or distribution} = {target or module}\n"
        )
        self.folder.joinpath(f"{module}.py").write_text(f"{IMPORTS}\n{code}\n")
        importlib.invalidate_caches()

    def entry_points(self) -> list[EntryPoint]:
        """Those of this folder alone."""
        found = distributions(path=[str(self.folder)])
        return [e for d in found for e in d.entry_points if e.group == GROUP]

    def zoo(
        self, *arguments: str, before: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process that sees this folder, and ``before`` before it."""
        path = [before or self.folder, self.folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.run(
            [sys.executable, "-c", "from zoo.cli import main; main()", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


IMPORTS = (
    "from zoo import CommandSpec, DatasetCard, InputSpec, ModelCard, RecipeCard, TaskCard, hookimpl"
)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> FakeSite:
    """One for all tests of a file, seen by the processes that they start and not by this one."""
    return FakeSite(tmp_path_factory.mktemp("site"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSite]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield FakeSite(folder)
    for module in set(sys.modules) - before:
        if (getattr(sys.modules[module], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[module]
    importlib.invalidate_caches()
