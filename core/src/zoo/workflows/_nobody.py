"""Who hears progress and messages that nobody wants to."""

from __future__ import annotations


def to_nobody(*_: object) -> None:
    """Hears nothing."""
