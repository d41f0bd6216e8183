"""What went wrong in a plugin's code: in a line, where, and what most likely helps."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OURS = ("zoo", "importlib", "pluggy", "_frozen_importlib", "_frozen_importlib_external")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An exception in a plugin, for people.

    Attributes:
        reason: type and message, in a line.
        location: of the line that failed, ``file:line``; empty where there is none.
        cure: what most likely helps.
        traceback: all of it.
    """

    reason: str
    location: str
    cure: str
    traceback: str


class HookError(PluginError):
    """A hook that breaks its contract.

    Args:
        hook: the plugin's function.
    """

    def __init__(self, cause: str, cure: str, *, hook: Callable[..., Any] | None) -> None:
        super().__init__(cause, cure)
        code = getattr(unwrap(hook), "__code__", None) if hook else None
        self.location = f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def describe_fault(error: BaseException, *, distribution: str, package: str) -> Fault:
    """Say what went wrong in a plugin.

    Args:
        error: what its code raised.
        distribution: that the plugin comes in.
        package: the top-level package of its code, to tell its own line from those it called.
    """
    return Fault(
        reason=in_a_line(error),
        location=_locate(error, package),
        cure=_cure(error, distribution, package),
        traceback="".join(traceback.format_exception(error)),
    )


def in_a_line(error: BaseException) -> str:
    """An exception's type and message in a line; one whose ``__str__`` raises, too.

    >>> in_a_line(ValueError("bad" + chr(10) + "news"))
    'ValueError: bad news'
    """
    if isinstance(error, PluginError):
        return error.cause
    try:
        message = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a stranger's exception may do anything
        message = "its message cannot be read"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def modules_of(error: BaseException) -> list[str]:
    """The module of each frame that an exception left; where it was raised comes last."""
    frames = traceback.walk_tb(error.__traceback__)
    return [str(frame.f_globals.get("__name__")) for frame, _ in frames]


def _locate(error: BaseException, package: str) -> str:
    """The plugin's last line before the failure; else that of whatever it called."""
    if isinstance(error, HookError):
        return error.location
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    own, other = "", ""
    frames = traceback.walk_tb(error.__traceback__)
    for module, (frame, line) in zip(modules_of(error), frames, strict=True):
        root = module.partition(".")[0]
        if root == package:
            own = f"{frame.f_code.co_filename}:{line}"
        elif root not in _OURS:
            other = f"{frame.f_code.co_filename}:{line}"
    return own or other


def _cure(error: BaseException, distribution: str, package: str) -> str:
    command = "pip install --upgrade" if distribution == "zoo-core" else "zoo plugins upgrade"
    upgrade = f"`{command} {distribution}`"
    match error:
        case PluginError():
            return error.cure
        case SyntaxError():
            python = platform.python_version()
            return f"It is damaged, or not for Python {python}: {upgrade}, or tell its authors."
        case ModuleNotFoundError(name=str(name)):
            return _cure_of_missing(name.partition(".")[0], distribution, package, upgrade)
        case SystemExit():
            return f"It ends the program, which no plugin may: {upgrade}, or tell its authors."
        case _:
            return _cure_of_other_version(distribution) or f"{upgrade}, or tell its authors."


def _cure_of_missing(module: str, distribution: str, package: str, upgrade: str) -> str:
    """What to install where a module is not there."""
    if module == package:
        return f"Its installation is damaged: pip install --force-reinstall {distribution}"
    if module == "zoo":
        return f"It is made for another version of zoo: {upgrade}"
    stated = _requirement_for(module, distribution)
    if stated:
        return f'Install what it requires: pip install "{stated}"'
    return f"Install what it lacks: pip install {module}"


def _cure_of_other_version(distribution: str) -> str:
    """What to install where a library has another version than is required; else empty."""
    for requirement in _requirements(distribution):
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            return f'It requires {wanted}, and {installed} is installed: pip install "{wanted}"'
    return ""


def _requirement_for(module: str, distribution: str) -> str:
    """The requirement of a distribution that most likely brings a module: ``einops>=0.7``."""
    from packaging.utils import canonicalize_name

    wanted = canonicalize_name(module)
    return next(
        (
            f"{each.name}{each.specifier}"
            for each in _requirements(distribution)
            if canonicalize_name(each.name) == wanted
        ),
        "",
    )


def _requirements(distribution: str) -> list[Requirement]:
    """What a distribution requires here, without its extras; nothing where that is unreadable."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        stated = [Requirement(line) for line in requires(distribution) or ()]
    except (InvalidRequirement, ImportError, ValueError):  # no such metadata, or unreadable
        return []
    return [each for each in stated if not each.marker or each.marker.evaluate({"extra": ""})]
