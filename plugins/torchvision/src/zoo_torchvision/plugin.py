"""torchvision's models as cards, from a table: listing them imports neither torch nor torchvision.

``python -m zoo_torchvision.table`` writes ``models.tsv`` anew from the installed torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo import CardTable, InputSpec, ModelCard, WeightsCard, hookimpl
from zoo.cards import FIXED_SIZE, read_card_table

TABLE = Path(__file__).with_name("models.tsv")
WEIGHTS_URL = "https://download.pytorch.org/models/"

TAGS = {"detection": ("no-export", "no-evaluation-loss", "torch-draws", "published-gmacs")}
"""Of the cards of a task.  torchvision's detectors have losses in training mode alone, choose at
random by torch's generator, and do not run without numbers, so that nobody counts their work; keys
of images are nothing that a graph takes."""

short_names = False
"""torchvision's names want their full form, ``torchvision:resnet18``; zoo's own come first."""


def read_row(name: str) -> dict[str, Any]:
    """What the table says of one model."""
    row: dict[str, Any] = json.loads(read_card_table(TABLE)[1][name])
    return row


@hookimpl
def zoo_models() -> CardTable:
    """Every model of torchvision for classification, segmentation and detection."""
    shared, rows = read_card_table(TABLE)
    inputs = [InputSpec(**spec) for spec in shared["inputs"]]
    return CardTable(
        library="torchvision",
        version=shared["version"],
        install="zoo-torchvision",
        rows=rows,
        build=lambda name, row: model_card(name, json.loads(row), inputs),
    )


def model_card(name: str, row: Mapping[str, Any], inputs: list[InputSpec]) -> ModelCard:
    """The card of one row of the table."""
    return ModelCard(
        name=name,
        task=row["task"],
        summary=row["summary"],
        factory=f"zoo_torchvision.models:{row['task']}_model",
        options={"variant": name},
        num_params=row["params"],
        gmacs=row["macs"] / 1e9,
        num_classes=row["classes"],
        input=inputs[row["input"]],
        weights=tuple(_weights_card(weights, row, inputs) for weights in row["weights"]),
        paper=row["paper"],
        license="BSD-3-Clause",
        tags=(*row["tags"], *TAGS.get(row["task"], ())),
    )


def _weights_card(
    row: Mapping[str, Any], model: Mapping[str, Any], inputs: list[InputSpec]
) -> WeightsCard:
    preprocess, usual = inputs[row["input"]], inputs[model["input"]]
    resized = FIXED_SIZE in model["tags"] and preprocess.size_px != usual.size_px
    return WeightsCard(
        name=row["name"],
        url=WEIGHTS_URL + row["file"],
        # torchvision's files end in the first 8 hex digits of their SHA-256.
        sha256=row["file"].removesuffix(".pth").rpartition("-")[2],
        preprocess=preprocess,
        classes=f"zoo_torchvision:{row['classes']}" if row["classes"] else "",
        metrics=row["metrics"],
        options={"image_size": preprocess.size_px} if resized else {},
        license=row.get("license", ""),
        provenance="torchvision",
    )
