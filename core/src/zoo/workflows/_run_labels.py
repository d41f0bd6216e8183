"""Short names for runs: the part of their paths in which they differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

_WIDEST = 48
"""Characters; the middle of a longer label is left out."""


def run_labels(paths: Sequence[Path]) -> list[str]:
    """A label for each path, without the folders that all have in common, at both ends.

    >>> run_labels([Path("runs/small/seed-0"), Path("runs/large/seed-0")])
    ['small', 'large']
    >>> run_labels([Path("runs/pets"), Path("old/runs/pets")])
    ['runs', 'old/runs']

    Args:
        paths: of different folders.
    """
    # As the shell sees them: a link has the name that was given to it.
    parts = [Path(os.path.abspath(path)).parts for path in paths]  # noqa: PTH100
    parts = _without_common(parts)
    parts = [each[::-1] for each in _without_common([each[::-1] for each in parts])]
    return [_shortened("/".join(each)) for each in parts]


def _without_common(parts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the first parts that all share; one part of each stays."""
    shared = takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    count = min(len(list(shared)), *(len(each) - 1 for each in parts))
    return [each[count:] for each in parts]


def _shortened(label: str) -> str:
    if len(label) <= _WIDEST:
        return label
    half = (_WIDEST - 1) // 2
    return f"{label[:half]}…{label[-half:]}"
