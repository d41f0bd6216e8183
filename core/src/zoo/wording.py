"""What messages share: counts with their nouns, and one who hears those that nobody wants."""

from __future__ import annotations

_HISSING = ("s", "x", "tch", "sh")


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "epoch"), counted(1437, "step"), counted(2, "batch")
    ('1 epoch', '1,437 steps', '2 batches')

    Args:
        count: of them.
        noun: in the singular; the plural has "s" behind it, or "es".
    """
    ending = "" if count == 1 else "es" if noun.endswith(_HISSING) else "s"
    return f"{count:,} {noun}{ending}"


def to_nobody(*_: object) -> None:
    """Hears a message, or progress, and tells nobody."""
