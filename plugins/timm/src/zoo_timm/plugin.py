"""timm's models as cards, from a table: listing them imports neither torch nor timm.

``python -m zoo_timm.table`` writes ``models.json`` anew from the installed timm.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import CardTable, InputSpec, ModelCard, WeightsCard, hookimpl

TABLE = Path(__file__).with_name("models.json")
HUB_URL = "https://huggingface.co/{repository}/resolve/main/model.safetensors"
HUB_OWNER = "timm/"

short_names = False
"""timm's names want their full form, ``timm:resnet18``; zoo's own come first."""


@functools.cache
def read_table() -> dict[str, Any]:
    """The shipped table, as ``zoo_timm.table`` wrote it.

    ``models`` has for each name: summary, classes, index in ``inputs``, parameters,
    multiply-adds, tags, and its weights.  Weights have: tag, address (an
    empty one is timm's repository of that name on the Hugging Face hub), index in ``inputs``, in
    ``classes`` and in ``licenses``.
    """
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


@hookimpl
def zoo_models() -> CardTable:
    """Every classifier of timm."""
    table = read_table()
    inputs = [InputSpec(**spec) for spec in table["inputs"]]
    return CardTable(
        library="timm",
        version=table["version"],
        install="zoo-timm[timm]",
        rows=table["models"],
        build=lambda name, row: model_card(name, row, inputs),
    )


def model_card(name: str, row: Sequence[Any], inputs: Sequence[InputSpec]) -> ModelCard:
    """The card of one row of the table."""
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
    repository = f"{HUB_OWNER}{model}.{tag}"
    return WeightsCard(
        name=tag,
        url=address or HUB_URL.format(repository=repository),
        # A file name that ends in hex digits, as torch.hub wants it, states how the SHA-256 begins.
        sha256=address.rpartition("-")[2].partition(".")[0],
        preprocess=inputs[input_index],
        classes=read_table()["classes"][classes_index],
        license=read_table()["licenses"][license_index],
        provenance="timm",
    )
