"""What a user wants installed: a name, a folder, a file or an address of a repository."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from zoo.errors import UsageError

_PROJECT_FILES = ("pyproject.toml", "setup.py")
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_PLAIN_ADDRESS = re.compile(r"[a-z]+://")
"""Neither ``git+https://`` nor ``name @ https://``."""


@dataclass(frozen=True)
class Source:
    """One thing to install.

    Attributes:
        requirement: as the installer takes it.
        name: of the distribution, where the source is here to look at.
    """

    requirement: str
    name: str | None = None


def read_source(text: str) -> Source:
    """Find out what a word is.

    A folder that is there comes before a name, so that ``zoo plugins new`` and ``install`` fit
    together, and before what anybody may have published under that name.

    Raises:
        UsageError: an option, or a path that is not there or no project.
    """
    if text.startswith("-"):
        raise UsageError(f"{text!r} is no name, path or address", "Options stand for themselves.")
    if "://" in text or text.startswith("git@"):
        return Source(_repository(text))
    path = Path(text).expanduser()
    if path.is_dir():
        return _project(path)
    if path.is_file():
        return _archive(path)
    if "/" in text.partition(";")[0].partition("@")[0] or text.endswith(_ARCHIVES):
        raise UsageError(f"there is no {path}", "Name a plugin, a folder, a wheel or a git URL.")
    return Source(text)


def _repository(text: str) -> str:
    """An address with ``git+`` before it, where it is one of git and does not say so."""
    if text.startswith("git@"):
        return f"git+ssh://{text.replace(':', '/', 1)}"
    return f"git+{text}" if text.endswith(".git") and _PLAIN_ADDRESS.match(text) else text


def _project(folder: Path) -> Source:
    if not any((folder / name).is_file() for name in _PROJECT_FILES):
        raise UsageError(f"{folder} has no pyproject.toml", "Name the project's own folder.")
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("project", {})
    except (OSError, ValueError):  # the installer will say what is wrong with it
        project = {}
    name = project.get("name") if isinstance(project, dict) else None
    return Source(str(folder.resolve()), name if isinstance(name, str) else None)


def _archive(file: Path) -> Source:
    if not file.name.endswith(_ARCHIVES):
        raise UsageError(f"{file} is no wheel or source archive", "It ends in .whl or .tar.gz.")
    parse = parse_wheel_filename if file.suffix == ".whl" else parse_sdist_filename
    try:
        name = parse(file.name)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):  # the installer will say what is wrong
        name = None
    return Source(str(file.resolve()), name)
