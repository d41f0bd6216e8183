"""The environment's own installer, uv or pip, and the commands that zoo gives it.

zoo installs nothing itself.  A constraints file keeps zoo-core, torch and torchvision as they are:
a plugin that wants others is refused by the installer, and cannot move what all others stand on.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from packaging.utils import canonicalize_name

from zoo.errors import UsageError, ZooError

PINNED = ("zoo-core", "torch", "torchvision")
"""What no plugin may move."""
_UV_CHANGE = re.compile(r"^ [+~] ([\w.-]+)(?:==| @ )(\S+)", re.MULTILINE)


class InstallerError(ZooError):
    """uv or pip refused or failed; says what it said."""


@dataclass(frozen=True)
class Change:
    """What happens to one distribution.

    Attributes:
        before, after: its version; None where it is not installed.  Before it is built, uv tells
            instead of the version the address it comes from.
    """

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Installer:
    """uv or pip, for the Python that runs this.

    Attributes:
        command: how it is called.
    """

    name: Literal["uv", "pip"]
    command: tuple[str, ...]

    def install(
        self,
        requirements: Sequence[str],
        *,
        editable: Sequence[str] = (),
        upgraded: Sequence[str] = (),
        rebuilt: Sequence[str] = (),
        pre: bool = False,
        constraints: Path,
    ) -> list[str]:
        """The command that installs.

        Args:
            requirements: names with or without versions, folders, files and URLs.
            editable: folders to link to.
            upgraded: names that are to become as new as they can.
            rebuilt: names that come from a folder or file, of which the same version may differ.
            pre: whether versions before their release will do.
        """
        words = [*self.command, "install"]
        if self.name == "uv":
            words += ["--python", sys.executable, *(["--prerelease", "allow"] if pre else [])]
            words += [word for name in upgraded for word in ("--upgrade-package", name)]
            words += [word for name in rebuilt for word in ("--reinstall-package", name)]
        else:  # which builds a folder anew each time
            words += ["--disable-pip-version-check", *(["--pre"] if pre else [])]
            words += ["--upgrade"] if upgraded else []
        words += ["--constraint", str(constraints), *requirements]
        return words + [word for folder in editable for word in ("--editable", folder)]

    def uninstall(self, names: Sequence[str]) -> list[str]:
        """The command that removes distributions."""
        if self.name == "uv":
            return [*self.command, "uninstall", "--python", sys.executable, *names]
        return [*self.command, "uninstall", "--disable-pip-version-check", "--yes", *names]

    def preview(self, command: Sequence[str]) -> list[Change]:
        """What an install command would change; nothing is changed.

        Raises:
            InstallerError: it cannot be done.
        """
        with TemporaryDirectory(prefix="zoo-") as folder:
            report = Path(folder) / "report.json"
            flags = ["--dry-run", *(["--report", str(report)] if self.name == "pip" else [])]
            done = subprocess.run(  # noqa: S603
                [*command, *flags], capture_output=True, text=True, check=False
            )
            said = done.stdout + done.stderr
            if done.returncode:
                raise InstallerError(f"{self.name} refuses:\n{said.strip()}", _advice(said))
            found = _UV_CHANGE.findall(said) if self.name == "uv" else _read_report(report)
        return [Change(name, installed_version(name), after) for name, after in found]

    def run(self, command: Sequence[str]) -> None:
        """Run a command, and show on stderr what it says.

        Raises:
            InstallerError: it failed.
        """
        done = subprocess.run(command, stdout=2, check=False)  # noqa: S603 - 2 is stderr
        if done.returncode:
            raise InstallerError(f"{self.name} failed; what it says above is the cause")


def find_installer() -> Installer:
    """The installer of this environment.

    Raises:
        UsageError: there is none, or the system manages this Python's packages itself.
    """
    _check_environment()
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv := beside or shutil.which("uv"):
        return Installer("uv", (uv, "pip"))
    if find_spec("pip"):
        return Installer("pip", (sys.executable, "-m", "pip"))
    raise UsageError(
        f"the environment of {sys.executable} has no pip, and no uv is on the PATH",
        f"Install uv, or get pip: {sys.executable} -m ensurepip",
    )


def _check_environment() -> None:
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and marker.exists():
        raise UsageError(
            f"the packages of {sys.executable} are managed by the operating system",
            f"Use zoo from an environment of its own: {sys.executable} -m venv .venv, then "
            ".venv/bin/pip install zoo-core, then .venv/bin/zoo plugins install ...",
        )


@contextmanager
def constraints_file() -> Iterator[Path]:
    """A file that keeps the installer from moving ``PINNED``."""
    with TemporaryDirectory(prefix="zoo-") as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("".join(f"{name}=={is_}\n" for name, is_ in pinned_versions().items()))
        yield file


def pinned_versions() -> Mapping[str, str]:
    """The installed version of each of ``PINNED``."""
    found = {name: installed_version(name) for name in PINNED}
    return {name: number for name, number in found.items() if number}


def installed_version(name: str) -> str | None:
    """The version of a distribution that is installed."""
    try:
        return version(canonicalize_name(name))
    except PackageNotFoundError:
        return None


def _read_report(file: Path) -> list[tuple[str, str]]:
    """Name and version of what pip would install."""
    metadata = [item["metadata"] for item in json.loads(file.read_text("utf-8"))["install"]]
    return [(item["name"], item["version"]) for item in metadata]


def _advice(said: str) -> str:
    """What to do where the constraints are in the way."""
    pinned = pinned_versions()
    if not any(f"{name}=={number}" in said for name, number in pinned.items()):
        return ""
    pins = ", ".join(f"{name} {number}" for name, number in pinned.items())
    return f"{pins} stay as they are; what wants others needs an environment of its own."
