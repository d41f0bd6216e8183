"""The hooks a plugin may implement; each returns data, and all are optional.

A plugin is a module named by an entry point of the group ``zoo.plugins``::

    from zoo import ModelCard, hookimpl

    @hookimpl
    def zoo_models():
        return [ModelCard(name="tinynet", factory="zoo_tinynet.model:tinynet", ...)]
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from zoo.cards import (
    CallbackCard,
    CommandSpec,
    DatasetCard,
    MetricCard,
    ModelCard,
    ProposerCard,
    RecipeCard,
    TaskCard,
)

PROJECT = "zoo"
ENTRY_POINT_GROUP = "zoo.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_models() -> Iterable[ModelCard]:  # type: ignore[empty-body]
    """The models that the plugin adds."""


@hookspec
def zoo_datasets() -> Iterable[DatasetCard]:  # type: ignore[empty-body]
    """The data sets that the plugin adds."""


@hookspec
def zoo_tasks() -> Iterable[TaskCard]:  # type: ignore[empty-body]
    """The tasks that the plugin adds."""


@hookspec
def zoo_metrics() -> Iterable[MetricCard]:  # type: ignore[empty-body]
    """The metrics that the plugin adds."""


@hookspec
def zoo_recipes() -> Iterable[RecipeCard]:  # type: ignore[empty-body]
    """The recipes that the plugin adds."""


@hookspec
def zoo_callbacks() -> Iterable[CallbackCard]:  # type: ignore[empty-body]
    """The trainer callbacks that the plugin adds."""


@hookspec
def zoo_proposers() -> Iterable[ProposerCard]:  # type: ignore[empty-body]
    """The makers of proposals that the plugin adds."""


@hookspec
def zoo_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """The verbs that the plugin adds to the command line."""
