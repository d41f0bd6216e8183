"""From what a user asked for to a checked plan: every name resolved, every option typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.cards import (
    FIXED_SIZE,
    DatasetCard,
    InputSpec,
    ModelCard,
    RecipeCard,
    TaskCard,
    WeightsCard,
)
from zoo.config import (
    Layer,
    ResolvedConfig,
    RunConfig,
    check_options,
    dump_config,
    resolve,
)
from zoo.errors import ConfigError
from zoo.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import Tensor

THIS_MACHINE = "this machine"
"""The origin of values that nobody chose."""


@dataclass(frozen=True)
class RunPlan:
    """What a run will do, before anything is read or written.

    Attributes:
        resolved: the config, and where each value came from.
        source: of the data, as ``zoo.data.sources.open_source`` takes it.
        backbone: that the model is built on, where it is one of the registry.
        model_options, task_options, transforms, callbacks: in the types that factories ask for.
    """

    resolved: ResolvedConfig
    model: Entry
    task: Entry
    source: str
    backbone: Entry | None
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
    def backbone_card(self) -> ModelCard | None:
        """The card of the model's backbone."""
        return cast(ModelCard, self.backbone.card) if self.backbone else None

    @property
    def in_channels(self) -> int:
        """Channels that the model sees."""
        return int(self.model_options.get("in_channels", self.model_card.input.channels))

    @property
    def input(self) -> InputSpec:
        """The images that the model sees: the weights' preprocessing at this run's size."""
        spec = _input_of(self.model_card, self.config.model.weights)
        if self.config.model.backbone_weights and self.backbone_card:
            theirs = _input_of(self.backbone_card, self.config.model.backbone_weights)
            theirs = theirs.at(channels=spec.channels)
            spec = replace(spec, mean=theirs.mean, std=theirs.std)
        return spec.at(size_px=self.config.data.image_size, channels=self.in_channels)


def plan_run(layers: Sequence[Layer], registry: Registry) -> RunPlan:
    """Resolve a run's layers.

    Below what the user says lie, from the bottom, the recipe of the model's card (or, where that
    names none for this task, of the task's), what the data set's card asks for, a recipe that
    the user names, and the options of the model that published weights need.

    Raises:
        UsageError: an unknown name, key or option, or a value of the wrong type.
    """
    asked = resolve(layers).config
    model = registry.get("model", asked.model.name)
    task = _task(asked, model, registry)
    source = asked.data.source or registry.default_dataset(task).full_name
    below = _dataset_layers(source, model, task, registry)
    if asked.recipe is not None:
        recipe = registry.get("recipe", asked.recipe, on_card_of=model)
        below.append(_recipe_layer(recipe, registry))
    elif usual := _usual_recipe(model, task, registry):
        below.insert(0, _recipe_layer(usual, registry))
    below += _weights_layers(cast(ModelCard, model.card), asked.model.weights)
    return _settle(check_plan(resolve([*below, *layers]), registry), registry)


def _task(config: RunConfig, model: Entry, registry: Registry) -> Entry:
    """The task that the user names, else the model's."""
    return registry.get("task", config.task.name) if config.task.name else registry.task_of(model)


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
    task = _task(config, model, registry)
    if config.data.proposals or config.data.proposals_options or config.data.proposals_limit:
        from zoo.workflows._proposals import check_proposals

        check_proposals(config.data, cast(ModelCard, model.card), registry)
    task_factory = registry.load(task)
    optimizer_options(config, origins)
    build_curve(config, origins)
    model_options = check_options(
        "model",
        registry.load(model),
        config.model.options,
        provided={"num_classes", *cast(ModelCard, model.card).options},
        defaulted=("in_channels",),
        origins=origins,
    )
    return RunPlan(
        resolved=resolved,
        model=model,
        task=task,
        source=config.data.source or registry.default_dataset(task).full_name,
        backbone=_backbone_of(model, model_options, config, registry),
        model_options=model_options,
        task_options=check_options(
            "task", task_factory, config.task.options, provided=("classes",), origins=origins
        ),
        transforms=check_options(
            "transforms",
            task_factory.transforms_schema(),  # type: ignore[attr-defined]
            config.transforms.options,
            provided=("self", "split", "train", "spec", "seed", "num_classes"),
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


def _settle(plan: RunPlan, registry: Registry) -> RunPlan:
    """The plan with what a later resume must not decide anew, nor look for elsewhere.

    Raises:
        WeightsError, UnknownNameError: there are no such weights.
    """
    from zoo.checkpoint import resolve_weights
    from zoo.training import optimizer_defaults

    config, resolved = plan.config, plan.resolved
    for key, card in (("weights", plan.model_card), ("backbone_weights", plan.backbone_card)):
        asked = getattr(config.model, key)
        weights = resolve_weights(card, asked) if card and asked else None
        if isinstance(weights, Path):
            resolved = overlay(resolved, Layer("", {"model": {key: str(weights.absolute())}}))
    if config.data.proposals is not None:
        from zoo.workflows._proposals import absolute_proposals

        place = absolute_proposals(config.data.proposals, registry)
        resolved = overlay(resolved, Layer("", {"data": {"proposals": place}}))
    defaults = {"optimizer": optimizer_defaults(config)}
    layer = Layer(f"default of {config.optimizer.name}", defaults)
    return replace(plan, resolved=overlay(resolved, layer))


def _backbone_of(
    model: Entry, options: Mapping[str, Any], config: RunConfig, registry: Registry
) -> Entry | None:
    """The backbone that the card, the user or the builder's default names.

    Raises:
        UnknownNameError: nobody has such a model.
        ConfigError: weights are given for a backbone, and there is none, or for the whole as well.
    """
    card = cast(ModelCard, model.card)
    name, option = None, card.backbone_option
    if option:
        default = signature(registry.load(model)).parameters[option].default
        name = {**card.options, **options}.get(option, default)
    if config.model.backbone_weights and name is None:
        raise ConfigError(
            f"model.backbone_weights: {card.name} is built on no backbone of the registry",
            f"Name one, as in --set model.{option}=resnet34." if option else "Use --weights.",
        )
    if config.model.backbone_weights and config.model.weights:
        raise ConfigError(
            "model.weights and model.backbone_weights are both given",
            "The first are for the whole model, its backbone too; leave one out.",
        )
    return None if name is None else registry.get("model", name)


def _input_of(card: ModelCard, weights: str | None) -> InputSpec:
    """The preprocessing of published weights, or the model's own."""
    return {w.name: w.preprocess for w in card.weights}.get(weights or "", card.input)


def _weights_layers(card: ModelCard, name: str | None) -> list[Layer]:
    """The options without which the model is not the one that had the published weights."""
    return [
        Layer(f"weights {weights.name}", {"model": dict(weights.options)})
        for weights in card.weights
        if weights.name == name and weights.options
    ]


def _usual_recipe(model: Entry, task: Entry, registry: Registry) -> Entry | None:
    """What trains a model where the user names no recipe: one for another task is of no use."""
    if on_card := cast(ModelCard, model.card).recipe:
        recipe = registry.get("recipe", on_card, on_card_of=model)
        if is_for(cast(RecipeCard, recipe.card), task):
            return recipe
    of_task = cast(TaskCard, task.card).recipe
    return registry.get("recipe", of_task, on_card_of=task) if of_task else None


def _recipe_layer(recipe: Entry, registry: Registry) -> Layer:
    values = {**registry.load(recipe)(), "recipe": recipe.full_name}
    return Layer(f"recipe {recipe.full_name}", values)


def _dataset_layers(source: str, model: Entry, task: Entry, registry: Registry) -> list[Layer]:
    """What a registered data set asks for; of its words to another task, only what is no option.

    Its size of images is nothing to a model that takes one size alone.
    """
    from zoo.data.sources import find_dataset

    named = find_dataset(source, registry)
    if named is None:
        return []  # a path
    entry, _ = named
    card = cast(DatasetCard, entry.card)
    foreign = set() if is_for(card, task) else {"task", "transforms"}
    settings = {section: keys for section, keys in card.settings.items() if section not in foreign}
    if FIXED_SIZE in cast(ModelCard, model.card).tags:
        sized = {"data": {k: v for k, v in settings.get("data", {}).items() if k != "image_size"}}
        settings = {**settings, **sized}
    return [Layer(f"data set {entry.full_name}", settings)] if settings else []


def is_for(card: DatasetCard | RecipeCard, task: Entry) -> bool:
    """Whether a card names this task as its own."""
    return card.task in (task.card.name, task.full_name)


def read_named_weights(
    card: ModelCard, name_or_file: str, *, message: Callable[[str], None]
) -> dict[str, Tensor]:
    """The tensors of a published set of the model, fetched if need be, or of a file.

    Raises:
        WeightsError: they cannot be had, or are not what was published.
    """
    from zoo.checkpoint import fetch_weights, read_weights, resolve_weights

    chosen = resolve_weights(card, name_or_file)
    if isinstance(chosen, WeightsCard):
        chosen = fetch_weights(chosen, message=message)
    return read_weights(chosen)
