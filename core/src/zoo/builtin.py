"""Core's own cards, registered as the plugin named ``core``."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.cards import TaskCard
from zoo.hooks import hookimpl


@hookimpl
def zoo_tasks() -> Iterable[TaskCard]:
    """Classification; a plugin adds others."""
    return [
        TaskCard(
            name="classification",
            summary="One class for each image",
            factory="zoo.tasks:ClassificationTask",
            default_dataset="digits",
        )
    ]
