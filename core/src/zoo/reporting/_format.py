"""Numbers as people read them, the same in the console, in tables and in reports."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

_PERCENT = re.compile(
    r"(?:.*/)?(?:top\d+|macro_\w+|ece|m(?:iou|dice)\w*|pixel_accuracy|boundary_f1|rand_score|\w+_fraction)"
)
"""Core's own names of fractions, and the ending that says so of any other."""


def format_metric(name: str, value: float) -> str:
    """A metric's value: fractions as per cent, everything else with four decimals.

    >>> format_metric("val/top1", 0.98333), format_metric("loss", 0.06123)
    ('98.33 %', '0.0612')
    >>> format_metric("val/within_10_deg_fraction", 0.928)
    '92.80 %'
    """
    if not math.isfinite(value):
        return str(value)
    if is_fraction(name):
        return f"{value * 100:.2f} %"
    return f"{value:.4f}"


def is_fraction(name: str) -> bool:
    """Whether a metric is shown as per cent."""
    return _PERCENT.fullmatch(name) is not None


def format_metrics(
    metrics: Mapping[str, float], *, style: Literal["plain", "markdown"] = "plain"
) -> str:
    """A table with a line for each metric.

    Args:
        metrics: value by name, as ``evaluate`` gives them.
        style: "plain" for a terminal, "markdown" for a document.

    >>> print(format_metrics({"loss": 0.0612, "top1": 0.9833}))
    loss   0.0612
    top1  98.33 %
    """
    rows = [(name, format_metric(name, value)) for name, value in metrics.items()]
    names = max((len(name) for name, _ in rows), default=0)
    values = max((len(value) for _, value in rows), default=0)
    if style == "plain":
        return "\n".join(f"{name:<{names}}  {value:>{values}}" for name, value in rows)
    names, values = max(names, len("metric")), max(values, len("value"))
    rows.insert(0, ("metric", "value"))
    lines = [f"| {name:<{names}} | {value:>{values}} |" for name, value in rows]
    lines.insert(1, f"|{'-' * (names + 2)}|{'-' * (values + 1)}:|")
    return "\n".join(lines)


def format_duration(seconds: float) -> str:
    """A time for people: ``"7 s"``, ``"1 m 05 s"``, ``"2 h 03 m"``.

    >>> format_duration(65.4)
    '1 m 05 s'
    """
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def format_count(count: int) -> str:
    """A large count for people.

    >>> format_count(21_289_802)
    '21.3 M'
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= size:
            return f"{count / (1000 if unit == 'k' else size):.1f} {unit}"
    return str(count)
