"""From what a user asked for to a checked plan: every name resolved, every option typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from zoo.cards import DatasetCard, InputSpec, ModelCard, TaskCard, WeightsCard
from zoo.config import (
    Layer,
    ResolvedConfig,
    RunConfig,
    check_options,
    dump_config,
    resolve,
)
from zoo.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RunPlan:
    """What a run will do, before anything is read or written.

    Attributes:
        resolved: the config, and where each value came from.
        source: of the data, as ``zoo.data.open_source`` takes it.
        model_options, task_options, transforms, callbacks: in the types that factories ask for.
    """

    resolved: ResolvedConfig
    model: Entry
    task: Entry
    source: str
    model_options: dict[str, Any]
    task_options: dict[str, Any]
    transforms: dict[str, Any]
    callbacks: dict[str, dict[str, Any]]

    @property
    def config(self) -> RunConfig:
        """The resolved config."""
        return self.resolved.config

    def as_toml(self) -> str:
        """The config as the run folder keeps it, each value with its origin."""
        return dump_config(self.resolved)

    def as_json(self) -> dict[str, Any]:
        """The config and the origins of its values."""
        return {
            "config": self.config.model_dump(mode="json"),
            "origins": dict(self.resolved.origins),
        }

    @property
    def model_card(self) -> ModelCard:
        """The card of the model."""
        return cast(ModelCard, self.model.card)

    @property
    def in_channels(self) -> int:
        """Channels that the model sees."""
        return int(self.model_options.get("in_channels", self.model_card.input.channels))

    @property
    def input(self) -> InputSpec:
        """The images that the model sees: the weights' preprocessing at this run's size."""
        preprocess = {w.name: w.preprocess for w in self.model_card.weights}
        spec = preprocess.get(self.config.model.weights or "", self.model_card.input)
        return spec.at(size_px=self.config.data.image_size, channels=self.in_channels)


def plan_run(layers: Sequence[Layer], registry: Registry) -> RunPlan:
    """Resolve a run's layers.

    Below what the user says lie, from the bottom, the recipe of the model's card (or, where that
    names none, of the task's), what the data set's card asks for, and a recipe that the user names.

    Raises:
        UsageError: an unknown name, key or option, or a value of the wrong type.
    """
    asked = resolve(layers).config
    model = registry.get("model", asked.model.name)
    card = cast(ModelCard, model.card)
    task = registry.get("task", asked.task.name or card.task)
    source = asked.data.source or cast(TaskCard, task.card).default_dataset
    below = _dataset_layers(source, registry)
    if asked.recipe is not None:
        below.append(_recipe_layer(asked.recipe, registry, on_card_of=model))
    elif card.recipe:
        below.insert(0, _recipe_layer(card.recipe, registry, on_card_of=model))
    elif usual := cast(TaskCard, task.card).recipe:
        below.insert(0, _recipe_layer(usual, registry, on_card_of=task))
    return _settle(check_plan(resolve([*below, *layers]), registry))


def overlay(resolved: ResolvedConfig, layer: Layer) -> ResolvedConfig:
    """A resolved config with a further layer over it; the other values keep their origins."""
    below = Layer("", resolved.config.model_dump(mode="json", exclude_unset=True))
    merged = resolve([below, layer])
    kept = resolved.origins
    origins = {key: origin or kept.get(key, "default") for key, origin in merged.origins.items()}
    return replace(merged, origins=origins, dropped=resolved.dropped + merged.dropped)


def check_plan(resolved: ResolvedConfig, registry: Registry) -> RunPlan:
    """The plan of a config that is complete: its names resolved, its options checked.

    Raises:
        UsageError: an unknown name or option, or a value of the wrong type.
    """
    from zoo.training import build_curve, optimizer_options

    config, origins = resolved.config, resolved.origins
    model = registry.get("model", config.model.name)
    task = registry.get("task", config.task.name or cast(ModelCard, model.card).task)
    task_factory = registry.load(task)
    optimizer_options(config, origins)
    build_curve(config, origins)
    return RunPlan(
        resolved=resolved,
        model=model,
        task=task,
        source=config.data.source or cast(TaskCard, task.card).default_dataset,
        model_options=check_options(
            "model",
            registry.load(model),
            config.model.options,
            provided={"num_classes", *model.card.options},
            origins=origins,
        ),
        task_options=check_options(
            "task", task_factory, config.task.options, provided=("classes",), origins=origins
        ),
        transforms=check_options(
            "transforms",
            task_factory.transforms_schema(),  # type: ignore[attr-defined]
            config.transforms.options,
            provided=("train", "spec", "seed", "num_classes"),
            origins=origins,
        ),
        callbacks={
            name: check_options(
                f"callbacks.{name}",
                registry.load(registry.get("callback", name)),
                options,
                origins=origins,
            )
            for name, options in config.callbacks.items()
        },
    )


def _settle(plan: RunPlan) -> RunPlan:
    """The plan with what a later resume must not decide anew, nor look for elsewhere.

    Raises:
        WeightsError, UnknownNameError: there are no such weights.
    """
    from zoo.checkpoint import resolve_weights
    from zoo.training import optimizer_defaults

    config, resolved = plan.config, plan.resolved
    if config.model.weights is not None:
        weights = resolve_weights(plan.model_card, config.model.weights)
        if not isinstance(weights, WeightsCard):
            resolved = overlay(resolved, Layer("", {"model": {"weights": str(weights.absolute())}}))
    defaults = {"optimizer": optimizer_defaults(config)}
    layer = Layer(f"default of {config.optimizer.name}", defaults)
    return replace(plan, resolved=overlay(resolved, layer))


def _recipe_layer(name: str, registry: Registry, *, on_card_of: Entry) -> Layer:
    """The recipe of that name; the model's own plugin comes first."""
    entry = registry.get("recipe", name, on_card_of=on_card_of)
    values = {**registry.load(entry)(), "recipe": entry.full_name}
    return Layer(f"recipe {entry.full_name}", values)


def _dataset_layers(source: str, registry: Registry) -> list[Layer]:
    for entry in registry.entries("dataset"):
        if source in (entry.card.name, entry.full_name):
            settings = cast(DatasetCard, entry.card).settings
            return [Layer(f"data set {entry.full_name}", settings)] if settings else []
    return []


def read_named_weights(plan: RunPlan, *, message: Callable[[str], None]) -> dict[str, Tensor]:
    """The tensors of ``model.weights``: a published set, fetched if need be, or a file.

    Raises:
        WeightsError: they cannot be had, or are not what was published.
    """
    from zoo.checkpoint import fetch_weights, read_weights, resolve_weights

    chosen = resolve_weights(plan.model_card, str(plan.config.model.weights))
    if isinstance(chosen, WeightsCard):
        chosen = fetch_weights(chosen, message=message)
    return read_weights(chosen)
