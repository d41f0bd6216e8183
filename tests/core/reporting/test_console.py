"""What a person reads on a terminal, and in a file."""

import io
import re
from dataclasses import replace

import pytest

from zoo.reporting import ConsoleReporter, RunSummary
from zoo.runs import RunFolder


@pytest.fixture
def summary(tmp_path):
    return RunSummary(
        model="resnet34",
        num_params=21_289_802,
        data="digits",
        split_sizes={"train": 1437, "val": 360},
        num_classes=10,
        device="cpu",
        precision="bf16",
        batch_size=8,
        epochs=2,
        run=RunFolder(tmp_path / "my run"),
        recipe="default",
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


@pytest.fixture
def plain(summary):
    """A console that writes into a file, and the file."""
    stream = io.StringIO()
    return ConsoleReporter(summary, monitor="val/top1", stream=stream), stream


def test_the_first_lines_say_what_is_trained_on_what_and_where_it_goes(plain, drive, tmp_path):
    console, stream = plain

    drive(console, last=0)

    assert stream.getvalue().splitlines() == [
        "model     resnet34, 21.3 M parameters",
        "data      digits: 1,437 train, 360 val images, 10 classes",
        "device    cpu, bf16",
        "training  recipe default, 2 epochs of 4 steps, batch size 8",
        f"output    {tmp_path}/my run",
    ]


def test_a_task_without_classes_counts_none(summary, drive):
    stream = io.StringIO()

    drive(ConsoleReporter(replace(summary, num_classes=0), monitor="val/e", stream=stream), last=0)

    assert "data      digits: 1,437 train, 360 val images\n" in stream.getvalue()


def test_a_run_that_ends_before_its_epochs_says_so(summary, drive):
    stream = io.StringIO()

    drive(ConsoleReporter(replace(summary, epochs=20), monitor="val/top1", stream=stream), last=0)

    assert "20 epochs of 4 steps, at most 8 steps, batch size 8" in stream.getvalue()


def test_a_resumed_run_says_from_where(plain, drive):
    console, stream = plain

    drive(console, first=4, last=4)

    assert stream.getvalue().splitlines()[-1] == "resumed   after step 4 of 8"


def test_in_a_file_there_is_one_aligned_line_for_each_epoch(plain, drive):
    console, stream = plain

    drive(console, seconds_per_step=20)

    first, second = stream.getvalue().splitlines()[5:]
    assert first == (
        "epoch 1/2  1 m 20 s  lr 0.05      train loss   0.5000 top1  50.00 %"
        "  val loss   0.2500 top1  40.00 % top5 100.00 %  best"
    )
    assert second == (
        "epoch 2/2  1 m 20 s  lr 0.05      train loss   0.2500 top1  50.00 %"
        "  val loss   0.2500 top1  80.00 % top5 100.00 %  best"
    )


def test_a_worse_epoch_is_not_called_best(plain, drive, start):
    console, stream = plain
    trainer = drive(console)

    console.on_epoch_end(trainer, start, {"val/top1": 0.1})

    assert not stream.getvalue().endswith("best\n")


def test_after_a_resume_a_worse_epoch_is_not_called_best(summary, plain, drive):
    first, _ = plain
    drive(first, last=8)
    stream = io.StringIO()
    resumed = ConsoleReporter(summary, monitor="val/top1", stream=stream)
    resumed.load_state_dict(first.state_dict())

    drive(resumed, first=0, last=4)

    assert "best" not in stream.getvalue()


def test_a_lower_loss_is_better(summary, drive, start):
    stream = io.StringIO()
    console = ConsoleReporter(summary, monitor="val/loss", mode="min", stream=stream)
    trainer = drive(console, last=4)

    console.on_epoch_end(trainer, start, {"val/loss": 0.3})
    console.on_epoch_end(trainer, start, {"val/loss": 0.2})

    assert [line.endswith("best") for line in stream.getvalue().splitlines()[5:]] == [
        True,
        False,
        True,
    ]


def test_the_monitored_metric_is_shown_whatever_its_name(summary, drive):
    stream = io.StringIO()
    console = ConsoleReporter(summary, monitor="val/ece", mode="min", stream=stream)

    drive(console, last=4)

    assert "ece   3.12 %  best" in stream.getvalue()


def test_the_last_lines_say_how_it_ended_and_what_comes_next(plain, drive, result, tmp_path):
    console, stream = plain
    trainer = drive(console)

    console.on_fit_end(trainer, result)

    assert stream.getvalue().splitlines()[7:] == [
        "finished after 2 epochs, 8 steps, 4 s",
        "best val/top1 80.00 % in epoch 2",
        f"run folder {tmp_path}/my run",
        f"  zoo eval '{tmp_path}/my run'              measure the best weights",
        f"  zoo predict '{tmp_path}/my run' IMAGE...  use them",
    ]


def test_a_run_that_was_stopped_names_the_command_that_resumes_it(plain, drive, result, tmp_path):
    console, stream = plain
    trainer = drive(console, last=1)

    console.on_fit_end(trainer, replace(result, reason="stopped", best=None, best_epoch=None))

    assert stream.getvalue().splitlines()[-2:] == [
        f"run folder {tmp_path}/my run",
        f"  zoo train --resume '{tmp_path}/my run'  go on",
    ]


def test_messages_cannot_move_the_cursor_and_are_no_markup(plain, drive):
    console, stream = plain
    trainer = drive(console, last=0)

    console.on_message(trainer, "skipped [red]a\x1b[2Jb\u202e.jpg[/red]")

    assert stream.getvalue().splitlines()[-1] == "skipped [red]a\ufffd[2Jb\ufffd.jpg[/red]"


def test_long_lines_are_not_broken(plain, drive):
    console, stream = plain
    trainer = drive(console, last=0)

    console.on_message(trainer, "word " * 100 + "end")

    assert stream.getvalue().splitlines()[-1].endswith("word end")


def test_a_reader_that_went_away_ends_no_run(summary, drive, result):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    console = ConsoleReporter(summary, monitor="val/top1", stream=Gone())

    trainer = drive(console)
    console.on_fit_end(trainer, result)

    assert console.state_dict() == {"best": 0.8}


def test_on_a_terminal_there_is_a_bar_with_speed_and_time_left(summary, drive, terminal, result):
    console = ConsoleReporter(summary, monitor="val/top1", stream=terminal)

    with console:
        trainer = drive(console, last=6)
        console.on_fit_end(trainer, result)

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "2/4 loss 0.1667  lr 0.05  16 images/s  ETA 1 s" in shown
    assert "evaluating" in shown
    assert "epoch 1/2" in shown


def test_the_cursor_comes_back_when_the_run_fails(summary, drive, terminal):
    console = ConsoleReporter(summary, monitor="val/top1", stream=terminal)

    def fail():
        drive(console, last=1)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), console:
        fail()

    assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l") > 0


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_in_ci_and_on_a_dumb_terminal_there_is_no_bar(
    summary, drive, terminal, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)

    drive(ConsoleReporter(summary, monitor="val/top1", stream=terminal))

    assert "\x1b" not in terminal.getvalue()
    assert "images/s" not in terminal.getvalue()


def test_the_bar_is_not_redrawn_at_every_step(summary, drive, terminal, start):
    console = ConsoleReporter(summary, monitor="val/top1", stream=terminal)
    trainer = drive(console, last=1)
    before = len(terminal.getvalue())

    for _ in range(1000):
        console.on_step_end(trainer, trainer.progress)
    console.close()

    assert len(terminal.getvalue()) - before < 20_000


def test_what_is_said_goes_to_stderr(summary, drive, capsys):
    drive(ConsoleReporter(summary, monitor="val/top1"))

    said = capsys.readouterr()

    assert said.out == ""
    assert said.err.count("epoch ") == 2
