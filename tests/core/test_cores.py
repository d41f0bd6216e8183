"""What other programs leave of the cores, from figures as Linux gives them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo import cores
from zoo.cores import CoreTimes, core_times, free_cores, usable_cores

Stat = Callable[..., None]


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stat:
    """Say what the cores of a machine did, of which this process may use the first two."""
    monkeypatch.setattr(cores, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(cores, "_usable", lambda: [0, 1])
    monkeypatch.setattr(os, "sysconf", lambda _: 100)

    def write(*lines: str, own_s: float = 0.0) -> None:
        (tmp_path / "stat").write_text("\n".join(["cpu  9 9 9 9 9 9 9 9 9 9", *lines, "ctxt 7\n"]))
        monkeypatch.setattr(os, "times", lambda: (own_s, 0.0, 0.0, 0.0, 5.0))

    return write


BUSY = "cpu1 100 0 100 0 0 0 0 0 0 0"
"""Two seconds of work."""


@pytest.mark.parametrize(
    ("first", "own_s", "free"),
    [
        ("cpu0 0 0 0 200 0 0 0 0 0 0", 0.0, 1.0),
        ("cpu0 0 0 0 100 100 0 0 0 0 0", 0.0, 1.0),
        ("cpu0 200 0 0 0 0 0 0 0 200 0", 2.0, 1.0),
        ("cpu0 100 0 0 100 0 0 0 0 0 0", 1.0, 1.0),
        ("cpu0 50 0 50 100 0 0 0 0 0 0", 0.0, 0.5),
        ("cpu0 0 100 0 0 0 0 0 100 0 0", 0.0, 0.0),
    ],
    ids=[
        "idle",
        "waits for a disk",
        "our own",
        "half of it our own",
        "half busy",
        "another host's",
    ],
)
def test_a_core_is_free_that_idles_or_works_for_us(
    stat: Stat, first: str, own_s: float, free: float
) -> None:
    stat("cpu0 0 0 0 0 0 0 0 0 0 0", "cpu1 0 0 0 0 0 0 0 0 0 0")
    before = core_times()
    stat(first, BUSY, own_s=own_s)

    assert free_cores(before, core_times()) == pytest.approx(free)


def test_cores_that_this_process_may_not_use_do_not_count(stat: Stat) -> None:
    stat("cpu0 1 0 2 3 4 0 0 0 0 0", "cpu1 0 0 0 5 0 0 0 0 0 0", "cpu2 900 0 0 0 0 0 0 0 0 0")

    assert core_times() == CoreTimes(cores=2, total_s=0.15, left_s=0.12)


def test_cores_that_have_other_numbers_are_not_known(stat: Stat) -> None:
    stat("cpu0 1 0 0 9 0 0 0 0 0 0")

    assert core_times() is None


def test_a_system_without_figures_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "_STAT", tmp_path / "stat")

    assert core_times() is None
    assert free_cores(None, None) is None


@pytest.mark.parametrize("total_s", [0.0, 0.04], ids=["figures that stand still", "too short"])
def test_what_cannot_be_told_is_not_said(total_s: float) -> None:
    before, after = CoreTimes(2, 10.0, 10.0), CoreTimes(2, 10.0 + total_s, 10.0)

    assert free_cores(before, after) is None


def test_there_is_a_core_to_use() -> None:
    assert usable_cores() >= 1
