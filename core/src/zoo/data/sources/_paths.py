"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path


def path_of(text: str) -> Path:
    """The path that a user means; ``Path.expanduser`` raises where ``~name`` is nobody's home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def exists(path: Path) -> bool:
    """``Path.exists`` raises for a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110
