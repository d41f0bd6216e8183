"""What runs are called in a table: the part of their paths in which they differ."""

from pathlib import Path

import pytest

from zoo.workflows._run_labels import run_labels


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["runs/a", "runs/b"], ["a", "b"]),
        (["runs/a", "./runs/../runs/b/"], ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        (["x/run", "y/run"], ["x", "y"]),
        (["x/2024/run", "y/2025/run"], ["x/2024", "y/2025"]),
        (["runs", "runs/a"], ["runs", "runs/a"]),
        (["runs/a", "old/runs/a"], ["runs", "old/runs"]),
        (["/p/runs/a", "/p/runs/b", "/p/more/a"], ["runs/a", "runs/b", "more/a"]),
        (["runs/" + "a" * 60, "runs/b"], ["a" * 23 + "…" + "a" * 23, "b"]),
    ],
)
def test_labels_are_what_differs(paths: list[str], labels: list[str]) -> None:
    assert run_labels([Path(path) for path in paths]) == labels
