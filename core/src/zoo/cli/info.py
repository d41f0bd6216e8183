"""``zoo info``: what is known of a model, from its card; its structure on request."""

from __future__ import annotations

from typing import Any

import click

from zoo.cards import InputSpec, ModelCard
from zoo.cli._completion import complete_names
from zoo.cli._options import json_option
from zoo.cli._output import as_json, count_text, print_answer, print_json, print_table
from zoo.cli.list import record
from zoo.errors import UsageError
from zoo.registry import Entry, Registry, default_registry
from zoo.wording import counted


@click.command()
@click.argument("model", shell_complete=complete_names("model"))
@click.option("--layers", is_flag=True, help="Build it, and show each stage's shape and cost.")
@json_option
def info(model: str, layers: bool, json_: bool) -> None:
    """Show what is known of MODEL: size, input, published weights, recipe, paper."""
    registry = default_registry()
    entry = registry.get("model", model)
    card = entry.card
    assert isinstance(card, ModelCard)  # noqa: S101 - the loader has checked it
    rows = _structure(entry.full_name, card) if layers else None
    if json_:
        described = record(registry, "model", entry)
        print_json(described if rows is None else {**described, "layers": as_json(rows)})
        return
    _print_facts(registry, entry, card)
    if card.weights:
        print_answer("")
        print_table(
            ("weights", "classes", "input", *_metric_names(card)),
            [
                (
                    weights.name,
                    weights.classes.partition(":")[2],
                    _input_text(weights.preprocess),
                    *(_percent(weights.metrics.get(name)) for name in _metric_names(card)),
                )
                for weights in card.weights
            ],
        )
    if rows is not None:
        print_answer("")
        print_table(
            ("stage", "kind", "output", "parameters", "GMACs"),
            [
                (
                    row.name,
                    row.kind,
                    " x ".join(map(str, row.output_shape)),
                    f"{row.num_params:,}",
                    f"{row.gmacs:.4f}",
                )
                for row in rows
            ],
        )


def _print_facts(registry: Registry, entry: Entry, card: ModelCard) -> None:
    facts = {
        "task": _task_text(registry, entry, card),
        "parameters": f"{card.num_params:,} ({count_text(card.num_params)})",
        "GMACs": f"{card.gmacs:.3g} at {card.input.size_px} px",
        _outputs_word(registry, entry): f"{card.num_classes} by default",
        "input": _input_text(card.input),
        "backbone": _backbone_text(card),
        "recipe": card.recipe or f"the usual one of {card.task}",
        "paper": card.paper,
        "license": card.license,
        "tags": ", ".join(card.tags),
        "from": f"{entry.full_name}, {entry.distribution} {entry.version}",
    }
    print_answer(f"{registry.shown_name('model', entry)}: {card.summary}\n")
    for key, value in facts.items():
        if value:
            print_answer(f"{key:<10}  {value}")


def _task_text(registry: Registry, entry: Entry, card: ModelCard) -> str:
    try:
        registry.task_of(entry)
    except UsageError:
        return f"{card.task}, which nothing installed can do: it is listed, and not trained"
    return card.task


def _outputs_word(registry: Registry, entry: Entry) -> str:
    """What ``num_classes`` counts: classes, unless the task's own data have none."""
    try:
        return "classes" if registry.has_classes(registry.task_of(entry)) else "outputs"
    except UsageError:
        return "classes"


def _input_text(spec: InputSpec) -> str:
    """As in "3 channels, 224 px (resized to 256, centre crop)"."""
    crop = "" if spec.resize_px is None else f" (resized to {spec.resize_px}, centre crop)"
    return f"{counted(spec.channels, 'channel')}, {spec.size_px} px{crop}"


def _backbone_text(card: ModelCard) -> str:
    """What the model is built on; "" where that is its own."""
    if not card.backbone_option:
        return ""
    name = card.options.get(card.backbone_option, f"any, by model.{card.backbone_option}")
    return f"{name}; --backbone-weights for it alone"


def _metric_names(card: ModelCard) -> list[str]:
    return list(dict.fromkeys(name for weights in card.weights for name in weights.metrics))


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f} %"


def _structure(full_name: str, card: ModelCard) -> list[Any]:
    """The rows of ``describe_structure``."""
    from zoo.models import build_model, describe_structure

    return describe_structure(build_model(full_name), card.input, task=card.task)
