"""The phases of training, for whoever measures them; unasked, they cost nothing.

This is a part of the trainer, kept apart so that the trainer reads as the algorithm.
"""
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.structures import Batch
    from zoo.training._trainer import Trainer

Around = Callable[[str], AbstractContextManager[object]]
"""From the name of a phase to what shall be entered before it and left behind it."""


def mark_phases(trainer: Trainer, around: Around) -> Callable[[], None]:
    """Put ``around`` about every phase of a trainer's work; phases lie within one another.

    A mark is an attribute of an object that hides its method of the same name.

    Returns:
        What takes the marks away again.
    """
    marked = [
        (trainer, "_prepare", "copy"),
        (trainer, "_compute_gradients", "backward"),
        (trainer._module, "forward", "forward"),
        (trainer, "_update_weights", "optimizer"),
        (trainer.optimizer, "zero_grad", "optimizer"),
        (trainer.running, "update", "metrics"),
        (trainer.running, "compute", "metrics"),
        (trainer, "_counts_over_ranks", "synchronisation"),
        (trainer, "_reason_to_end", "synchronisation"),
        (trainer.guard, "check", "synchronisation"),
        (trainer, "_end_epoch", "evaluation"),
        (trainer, "save", "checkpoint"),
    ]
    if trainer.ema:
        marked.append((trainer.ema, "update", "optimizer"))
    for owner, name, phase in marked:
        setattr(owner, name, _within(around, phase, getattr(owner, name)))
    data, epoch = trainer._data, trainer._rest_of_epoch
    trainer._data = replace(data, transform=_within(around, "transforms", data.transform))
    is_marked = True

    def batches() -> Iterator[Batch]:
        source = epoch()
        while is_marked:
            with around("data"):
                batch = next(source, None)
            if batch is None:
                return
            yield batch
        yield from source

    trainer._rest_of_epoch = batches  # type: ignore[method-assign]

    def unmark() -> None:
        nonlocal is_marked
        is_marked = False
        trainer._data = data
        for owner, name, _ in [*marked, (trainer, "_rest_of_epoch", "data")]:
            delattr(owner, name)

    return unmark


def _within(around: Around, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        with around(phase):
            return function(*arguments, **options)

    return call
