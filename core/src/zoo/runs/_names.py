"""Names that are safe as files and folders on every system, and safe to print."""

from __future__ import annotations

import re
import unicodedata

from zoo.errors import RunFolderError

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}


def is_safe_name(name: str) -> bool:
    """Whether a name stays in its folder and is no device: ``[A-Za-z0-9._-]``, at most 100."""
    return (
        _SAFE.fullmatch(name) is not None
        and not name.endswith(".")
        and name.partition(".")[0].lower() not in _DEVICES
    )


def check_name(name: str) -> str:
    """The name itself, where it is safe.

    Raises:
        RunFolderError: it could leave its folder or cannot be a file everywhere.
    """
    if not is_safe_name(name):
        raise RunFolderError(
            f"{name!r} cannot be a file's name here",
            "Letters, digits, '.', '_' and '-' are allowed, at most 100, the first no '.'.",
        )
    return name


def safe_name(text: str, *, default: str = "run") -> str:
    """A safe name that is like a text: ``"resnet:resnet34"`` gives ``"resnet-resnet34"``.

    Accents are dropped, everything else that is unsafe becomes ``-``; at most 40 characters.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = _UNSAFE_CHARACTERS.sub("-", plain).strip("-._")[:40].rstrip("-._")
    return name if is_safe_name(name) else default


def printable(text: str) -> str:
    """A text without what could move the cursor, colour the terminal or reverse its letters."""
    return "".join(
        character if character == "\n" or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in text
    )
