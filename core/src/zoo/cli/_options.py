"""Options that several verbs share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import click

from zoo.cli._output import stdout_for_json
from zoo.errors import UsageError
from zoo.plugins import ONLY
from zoo.registry import default_registry

Command = TypeVar("Command", bound=Callable[..., object])

DEVICES = "auto, cpu, cuda, cuda:N or mps"
PRECISIONS = "auto, fp32, bf16 or fp16"


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``, with which stdout is kept for the one document that the verb prints."""

    @functools.wraps(function)
    def verb(*arguments: Any, json_: bool, **options: Any) -> Any:
        with stdout_for_json() if json_ else nullcontext():
            return function(*arguments, json_=json_, **options)

    return click.option("--json", "json_", is_flag=True, help="Print one JSON document.")(verb)


proposals_option = click.option(
    "--proposals",
    metavar="METHOD|FILE",
    help="Where objects could be, for a detector that is told; default: as the run.",
)


download_option = click.option(
    "--download", is_flag=True, help="Fetch registered data that are not here yet."
)


weights_option = click.option(
    "--weights", metavar="NAME|FILE", help="Of a MODEL: published weights, or a file."
)


checkpoint_option = click.option(
    "--checkpoint",
    default="best",
    metavar="NAME",
    show_default=True,
    help="Of a RUN: best, last or step-N.",
)


def source_options(command: Command) -> Command:
    """How a source is read that is no run's: for verbs that make something of data."""
    for option in (
        click.option(
            "--on-bad-box",
            type=click.Choice(["fail", "clip", "skip"]),
            default="fail",
            help="What to do with boxes that are wrong.",
        ),
        click.option(
            "--on-bad-image",
            type=click.Choice(["fail", "skip"]),
            default="fail",
            help="What to do with an image that cannot be read.",
        ),
        download_option,
    ):
        command = option(command)
    return command


def model_options(*, batch_size: int, runs_only: bool = False) -> Callable[[Command], Command]:
    """Which weights of a run or model to use, and on what: for verbs that use a trained model.

    Args:
        batch_size: the default.
        runs_only: for verbs that take no model by its name.
    """
    options = (
        *(() if runs_only else (weights_option,)),
        checkpoint_option,
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            default=batch_size,
            metavar="N",
            show_default=True,
            help="Images at a time; no answer depends on it.",
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="task.KEY=VALUE",
            help="Another option of the task than the run had.",
        ),
        click.option(
            "--device", default="auto", metavar="DEVICE", show_default=True, help=f"{DEVICES}."
        ),
        click.option(
            "--precision", default="auto", metavar="NAME", show_default=True, help=f"{PRECISIONS}."
        ),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def task_options(assignments: Sequence[str]) -> dict[str, Any]:
    """The options of the task among ``--set`` words.

    Raises:
        UsageError: a word is about something else, which trained weights have settled.
    """
    from zoo.config import assignments_layer

    values = dict(assignments_layer(assignments, "command line").values)
    options = values.pop("task", {})
    if values or not isinstance(options, dict):
        raise UsageError(
            f"--set {next(iter(values), 'task')}: only options of the task can be set here",
            "For example --set task.tile_px=512; all else is what the weights were trained with.",
        )
    return options


def debug_option() -> click.Option:
    """``--debug``, of every verb."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note_debug,
        help="Show tracebacks.",
    )


def no_plugins_option() -> click.Option:
    """``--no-plugins``, of every verb of core."""
    return click.Option(
        ["--no-plugins"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_leave_plugins_out,
        help="Load no plugin, only core.",
    )


def _note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(dict)["debug"] = True


def _leave_plugins_out(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Load no plugin in this process and those that it starts."""
    if not value:
        return
    before = os.environ.get(ONLY)
    os.environ[ONLY] = ""
    default_registry.cache_clear()

    @ctx.call_on_close
    def restore() -> None:
        default_registry.cache_clear()
        if before is None:
            os.environ.pop(ONLY, None)
        else:
            os.environ[ONLY] = before
