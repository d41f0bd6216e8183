"""timm's models as cards, from a table: listing them imports neither torch nor timm.

``python -m zoo_timm.table`` writes ``models.tsv`` anew from the installed timm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import CardTable, InputSpec, ModelCard, WeightsCard, hookimpl
from zoo.cards import read_card_table

TABLE = Path(__file__).with_name("models.tsv")
HUB_URL = "https://huggingface.co/{repository}/resolve/main/model.safetensors"
HUB_OWNER = "timm/"

short_names = False
"""timm's names want their full form, ``timm:resnet18``; zoo's own come first."""


def read_row(name: str) -> list[Any]:
    """What the table says of one model; ``model_card`` names its columns."""
    row: list[Any] = json.loads(read_card_table(TABLE)[1][name])
    return row


@hookimpl
def zoo_models() -> CardTable:
    """Every classifier of timm."""
    shared, rows = read_card_table(TABLE)
    inputs = [InputSpec(**spec) for spec in shared["inputs"]]
    return CardTable(
        library="timm",
        version=shared["version"],
        install="zoo-timm[timm]",
        rows=rows,
        build=lambda name, row: model_card(name, json.loads(row), inputs),
    )


def model_card(name: str, row: Sequence[Any], inputs: Sequence[InputSpec]) -> ModelCard:
    """The card of one row of the table.

    Args:
        name: timm's.
        row: summary, classes, index of the input, parameters, multiply-adds, tags, and for each set
            of weights its tag, its address (an empty one is timm's repository of that name on the
            Hugging Face hub), and the indices of its input, classes and license.
        inputs: the table's.
    """
    summary, classes, input_index, params, macs, tags, weights = row
    return ModelCard(
        name=name,
        task="classification",
        summary=summary,
        factory="zoo_timm.models:timm_model",
        options={"variant": name},
        num_params=params,
        gmacs=macs / 1e9,
        num_classes=classes,
        input=inputs[input_index],
        weights=tuple(_weights_card(name, row, inputs) for row in weights),
        license="Apache-2.0",
        tags=tuple(tags),
    )


def _weights_card(model: str, row: Sequence[Any], inputs: Sequence[InputSpec]) -> WeightsCard:
    tag, address, input_index, classes_index, license_index = row
    shared, _ = read_card_table(TABLE)
    repository = f"{HUB_OWNER}{model}.{tag}"
    return WeightsCard(
        name=tag,
        url=address or HUB_URL.format(repository=repository),
        # A file name that ends in hex digits, as torch.hub wants it, states how the SHA-256 begins.
        sha256=address.rpartition("-")[2].partition(".")[0],
        preprocess=inputs[input_index],
        classes=shared["classes"][classes_index],
        license=shared["licenses"][license_index],
        provenance="timm",
    )
