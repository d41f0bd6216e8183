"""Core's own cards, registered as the plugin named ``core``."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.cards import DatasetCard, TaskCard
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


@hookimpl
def zoo_datasets() -> Iterable[DatasetCard]:
    """The embedded digits."""
    return [
        DatasetCard(
            name="digits",
            task="classification",
            summary="1,797 handwritten digits of 8x8 px, embedded",
            factory="zoo.data._digits:digits",
            classes=10,
            license="CC-BY-4.0",
            source="https://doi.org/10.24432/C50P49",
            settings={
                "data": {"image_size": 32},
                # All of one size, so no crops; a mirrored 2 is no 2.
                "transforms": {"crop": "none", "flip": 0.0, "shift": 1 / 16},
            },
        ),
    ]
