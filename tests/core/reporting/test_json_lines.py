"""metrics.jsonl: the same log for an interrupted run as for an unbroken one, but for timing."""

import errno
import json
import math
import os

import pytest

from zoo.errors import StorageError
from zoo.reporting import JsonLines


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_timing(path):
    return [{key: value for key, value in line.items() if key != "timing"} for line in read(path)]


@pytest.fixture
def unbroken(tmp_path, drive):
    """The lines of a run that nothing interrupted, without their timing."""
    log = JsonLines(tmp_path / "unbroken.jsonl")
    drive(log)
    log.close()
    return without_timing(log.path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_there_is_a_line_for_each_logged_step_and_each_epoch(unbroken):
    assert [(line["event"], line["step"], line["epoch"]) for line in unbroken] == [
        ("step", 2, 1),
        ("step", 4, 1),
        ("epoch", 4, 1),
        ("step", 6, 2),
        ("step", 8, 2),
        ("epoch", 8, 2),
    ]
    assert unbroken[2] == {
        "event": "epoch",
        "step": 4,
        "epoch": 1,
        "images": 32,
        "learning_rate": 0.05,
        "train/loss": 0.5,
        "train/top1": 0.5,
        "val/loss": 0.25,
        "val/top1": 0.4,
        "val/top5": 1.0,
        "val/ece": 0.03125,
    }


def test_times_stand_under_timing_alone(path, drive):
    log = JsonLines(path)
    drive(log, seconds_per_step=0.5)
    log.close()

    timings = [line["timing"] for line in read(path)]

    assert timings[0] == {"elapsed_s": 1.0, "images_per_s": 16.0}
    assert timings[2] == {"elapsed_s": 2.0}


@pytest.mark.parametrize("saved", [0, 1, 3, 4, 5, 8])
@pytest.mark.parametrize("torn", [b"", b'{"event": "st', b"\x00\x00\n", b'{"event": "step"}\n'])
def test_a_resumed_log_equals_the_unbroken_one(path, drive, unbroken, saved, torn):
    killed = JsonLines(path)
    drive(killed, last=saved)
    state = killed.state_dict()
    drive(killed, first=saved, last=8, seconds_per_step=3)
    path.write_bytes(path.read_bytes() + torn)

    resumed = JsonLines(path)
    resumed.load_state_dict(json.loads(json.dumps(state)))
    drive(resumed, first=saved, seconds_per_step=7)
    resumed.close()

    assert without_timing(path) == unbroken


def test_a_run_killed_before_its_first_checkpoint_starts_its_log_anew(path, drive, unbroken):
    drive(JsonLines(path), last=3)

    log = JsonLines(path)
    drive(log)
    log.close()

    assert without_timing(path) == unbroken


def test_a_log_that_lost_its_end_goes_on_after_its_last_whole_line(path, drive, unbroken):
    log = JsonLines(path)
    drive(log, last=4)
    state = log.state_dict()
    path.write_bytes(path.read_bytes()[:-10])

    resumed = JsonLines(path)
    resumed.load_state_dict(state)
    drive(resumed, first=4)
    resumed.close()

    assert without_timing(path) == unbroken[:2] + unbroken[3:]


def test_the_log_is_on_the_disk_before_a_checkpoint_names_its_length(path, drive, monkeypatch):
    log = JsonLines(path)
    drive(log, last=4)
    flushed = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (flushed.append(os.fstat(file).st_size), real(file))
    )

    state = log.state_dict()

    assert state == {"bytes": path.stat().st_size}
    assert flushed == [state["bytes"]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_null(path, drive, start, value):
    log = JsonLines(path)
    trainer = drive(log, last=0)

    log.on_log(trainer, start, {"train/loss": value})

    assert read(path)[-1]["train/loss"] is None


def test_a_full_disk_is_a_storage_error_and_leaves_whole_lines(path, drive, start, monkeypatch):
    log = JsonLines(path)
    trainer = drive(log, last=4)
    before = path.read_bytes()
    real = os.pwrite

    def fill_up(file, data, offset):
        if offset > len(before):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[:5], offset)

    monkeypatch.setattr(os, "pwrite", fill_up)

    with pytest.raises(StorageError, match=r"metrics\.jsonl: the disk is full"):
        log.on_log(trainer, start, {"train/loss": 1.0})

    assert path.read_bytes() == before


def test_closing_twice_is_harmless(path, drive, result):
    log = JsonLines(path)
    trainer = drive(log)

    log.on_fit_end(trainer, result)
    log.close()

    assert log.state_dict() == {"bytes": path.stat().st_size}
