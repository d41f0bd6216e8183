"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])


def model_options(*, batch_size: int) -> Callable[[Command], Command]:
    """Which weights of a run or model to use, and on what: for verbs that use a trained model.

    Args:
        batch_size: the default.
    """
    options = (
        click.option(
            "--weights", metavar="NAME|FILE", help="Of a MODEL: published weights, or a file."
        ),
        click.option(
            "--checkpoint",
            default="best",
            metavar="NAME",
            show_default=True,
            help="Of a RUN: best, last or step-N.",
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            default=batch_size,
            metavar="N",
            show_default=True,
            help="Images at a time; no answer depends on it.",
        ),
        click.option(
            "--device",
            default="auto",
            metavar="DEVICE",
            show_default=True,
            help="auto, cpu, cuda, cuda:N or mps.",
        ),
        click.option(
            "--precision",
            default="auto",
            metavar="NAME",
            show_default=True,
            help="auto, fp32, bf16 or fp16.",
        ),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
