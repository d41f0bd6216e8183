"""What goes wrong ends in a line or two on stderr and the right exit code."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock, call

import click
import pytest

from zoo.cli._main import _DEVICE_FAILED, main
from zoo.errors import (
    CheckpointError,
    ConfigError,
    StoppedError,
    StorageError,
    UnknownNameError,
)

LESS = "Use a smaller --batch-size or --image-size, or --precision bf16.\n"
BUG = "This looks like a bug. Run again with --debug to see where it happened.\n"


def raising(error: BaseException):
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("cause", "cure"), 2, "Error: cause\ncure\n"),
        (ConfigError("cause"), 2, "Error: cause\n"),
        (
            UnknownNameError("model", "a", ["ab"], "Look."),
            2,
            "Error: unknown model 'a'\nDid you mean ab? Look.\n",
        ),
        (CheckpointError("cause"), 1, "Error: cause\n"),
        (StorageError("cause"), 74, "Error: cause\n"),
        (StoppedError("cause", "cure"), 75, "Error: cause\ncure\n"),
        (ConfigError("a \x1b[31mred\x07 name"), 2, "Error: a [31mred name\n"),
        (OSError(errno.ENOSPC, "No space left", "/data"), 74, "Error: /data: No space left\n"),
        (OSError(errno.EROFS, "Read-only file system"), 74, "Error: Read-only file system\n"),
        (OSError(errno.EDQUOT, "Quota exceeded"), 74, "Error: Quota exceeded\n"),
        (ValueError("one\ntwo"), 1, f"Error: ValueError: one\n{BUG}"),
        (ValueError(), 1, f"Error: ValueError\n{BUG}"),
        (
            type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried.\nMore"),
            1,
            f"Error: CUDA out of memory. Tried.\n{LESS}",
        ),
        (
            type("AcceleratorError", (RuntimeError,), {})("CUDA error: out of memory\nMore"),
            1,
            f"Error: CUDA error: out of memory\n{LESS}",
        ),
        (
            type("AcceleratorError", (RuntimeError,), {})("CUDA error: unspecified launch failure"),
            1,
            f"Error: CUDA error: unspecified launch failure\n{_DEVICE_FAILED}\n",
        ),
        (MemoryError("much"), 1, f"Error: MemoryError: much\n{BUG}"),
        (SystemExit(3), 3, ""),
        (SystemExit("text"), 1, "text\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (click.UsageError("wrong"), 2, "Error: wrong\nSee `zoo act --help`.\n"),
    ],
)
def test_an_error_has_its_code_and_its_lines(zoo, verb, error, code, message):
    verb(raising(error))

    outcome = zoo("act")

    assert outcome == (code, "", message)


@pytest.mark.parametrize("words", [("--debug", "act"), ("act", "--debug")])
def test_debug_shows_the_traceback_too(zoo, verb, words):
    verb(raising(ConfigError("cause", "cure")))

    outcome = zoo(*words)

    assert outcome.code == 2
    assert outcome.err.startswith("Traceback (most recent call last):")
    assert outcome.err.endswith("Error: cause\ncure\n")


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1), (True, 1), ("text", 0)])
def test_a_verb_may_return_its_exit_code(zoo, verb, answer, code):
    verb(lambda: answer)

    assert zoo("act") == (code, "", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lst",), "Error: unknown command 'lst'\nDid you mean list? See `zoo --help`.\n"),
        (
            ("list", "--jsn"),
            "Error: No such option '--jsn'. Did you mean '--json'?\nSee `zoo list --help`.\n",
        ),
        (("--bogus",), "Error: No such option '--bogus'.\nSee `zoo --help`.\n"),
        (("info",), "Error: Missing argument 'MODEL'.\nSee `zoo info --help`.\n"),
        (("info", "a", "b"), "Got unexpected extra argument"),
        (("list", "modles"), "Error: unknown kind 'modles'\nDid you mean models?"),
        (("list", "tasks", "--task", "clasification"), "Did you mean classification?"),
        (("info", "digits"), "Error: unknown model 'digits'\ndigits is a dataset."),
        (("info", "foo:bar"), "Error: unknown plugin 'foo'\n"),
    ],
)
def test_wrong_words_get_a_suggestion_and_exit_2(zoo, words, message):
    outcome = zoo(*words)

    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 2


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "zoo", "--no-plugins", *words]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_told():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("list", "tasks"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (done.returncode, done.stderr) == (74, "Error: No space left on device\n")


def test_a_reader_that_goes_away_is_no_error_to_read():
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        command("list", "tasks"), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("is_member", [True, False])
def test_a_process_that_failed_alone_among_several_waits_for_nobody(monkeypatch, is_member):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: is_member)
    at_once = Mock(side_effect=SystemExit)
    monkeypatch.setattr(os, "_exit", at_once)

    with pytest.raises(SystemExit):
        main(["nonsense"])

    assert at_once.call_args_list == [call(2)] * is_member
