"""Compute the table of torchvision's models anew, from the installed torchvision.

    python -m zoo_torchvision.table    writes models.tsv and the files of class names

Models are built and run on torch's meta device, which has shapes and no numbers.  Parameters and
multiply-adds are counted by zoo; what torchvision publishes of its weights is copied.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import (
    MaxVit,
    VisionTransformer,
    get_model_builder,
    get_model_weights,
    list_models,
)

from zoo.cards import InputSpec
from zoo.models import describe_structure
from zoo_torchvision.models import BACKGROUND, body, is_channels_last, library_builder, on_meta
from zoo_torchvision.plugin import TABLE, WEIGHTS_URL

TASKS = ("classification", "segmentation", "detection")
CLASS_FILES = {1000: "imagenet1k.txt", 21: "voc21.txt", 90: "coco90.txt", 1: "person.txt"}
METRICS = {"acc@1": "top1", "acc@5": "top5"}
"""zoo's names for torchvision's; the others keep theirs."""


def main() -> None:
    """Write the shipped files."""
    TABLE.write_text(dump(*build_table()), encoding="utf-8")
    for file, names in class_files().items():
        TABLE.with_name(file).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def model_names(task: str) -> list[str]:
    """torchvision's models for a task."""
    models = torchvision.models
    module = models if task == "classification" else getattr(models, task)
    names: list[str] = list_models(module=module)
    return names


def build_table() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the rows share, and the rows by name; takes about a minute."""
    inputs: list[dict[str, Any]] = []
    rows = {name: model_row(name, task, inputs) for task in TASKS for name in model_names(task)}
    return {"version": torchvision.__version__.partition("+")[0], "inputs": inputs}, rows


def dump(shared: Mapping[str, Any], rows: Mapping[str, dict[str, Any]]) -> str:
    """The table as text: a line for what the rows share, and one for each model."""
    compact = functools.partial(json.dumps, separators=(",", ":"))
    lines = [compact(shared), *(f"{name}\t{compact(row)}" for name, row in rows.items())]
    return "".join(f"{line}\n" for line in lines)


def model_row(name: str, task: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of one model; an input that ``inputs`` lacks is added to it."""
    published = list(get_model_weights(name))
    classes = len(next(names for weights in published if (names := class_names(weights))))
    build = library_builder(name, task)
    model, wider = (
        on_meta(functools.partial(build, num_classes=classes + more + BACKGROUND[task]))
        for more in (0, 1)
    )
    specs = [_input(weights, model) for weights in published]
    # The model takes one size alone (vit), or any: then the first weights' is its card's.
    fixed_px = getattr(model, "image_size", None)
    spec = next(spec for spec in specs if fixed_px in (None, spec["size_px"]))
    summary, paper = _summary_and_paper(name)
    stages = _stages(model, spec) if task == "classification" else []
    tags = {"backbone": stages, "fixed-size": isinstance(model, VisionTransformer | MaxVit)}
    return {
        "task": task,
        "summary": summary,
        "paper": paper,
        "classes": classes,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": _multiply_adds(published[0], model, task, spec),
        "input": _index(spec, inputs),
        "head": _head(model, wider),
        "stages": stages,
        "tags": [tag for tag, holds in tags.items() if holds],
        "weights": [
            {**published_facts(weights), "input": _index(spec, inputs)}
            for weights, spec in zip(published, specs, strict=True)
        ],
    }


def class_files() -> dict[str, list[str]]:
    """The names of the classes of published weights, by file."""
    files: dict[str, list[str]] = {}
    for name in (name for task in TASKS for name in model_names(task)):
        for weights in get_model_weights(name):
            names = class_names(weights)
            if names and files.setdefault(CLASS_FILES[len(names)], names) != names:
                raise ValueError(f"{weights} has {len(names)} classes other than those of others")
    return files


def class_names(weights: Any) -> list[str]:
    """The classes as users name them: a detector's background is none."""
    names = list(weights.meta["categories"] or ())
    detects = "box_map" in next(iter(weights.meta["_metrics"].values()), {})
    return names[1:] if detects else names


def published_facts(weights: Any) -> dict[str, Any]:
    """What torchvision says of a set of weights."""
    names = class_names(weights)
    metrics = {
        METRICS.get(metric, metric): round(percent / 100, 6)
        for measured in weights.meta["_metrics"].values()
        for metric, percent in measured.items()
        if math.isfinite(percent)  # weights of the lower layers alone have none
    }
    row = {
        "name": weights.name.lower(),
        "file": weights.url.removeprefix(WEIGHTS_URL),
        "classes": CLASS_FILES[len(names)] if names else "",
        "metrics": metrics,
    }
    license_ = weights.meta.get("license")
    return {**row, "license": license_} if license_ else row


def _input(weights: Any, model: nn.Module) -> dict[str, Any]:
    """How an image becomes an input, as the arguments of ``InputSpec``."""
    transforms = weights.transforms()
    if not hasattr(transforms, "mean"):  # a detector scales and normalises by itself
        size_px = int(model.transform.min_size[0])  # type: ignore[union-attr, index]
        return {"size_px": size_px, "resize_px": None, "mean": [0.0] * 3, "std": [1.0] * 3}
    crop = getattr(transforms, "crop_size", None)
    (size_px,) = crop or transforms.resize_size
    return {
        "size_px": size_px,
        "resize_px": transforms.resize_size[0] if crop else None,
        "mean": list(transforms.mean),
        "std": list(transforms.std),
        "interpolation": transforms.interpolation.value,
    }


def _index(spec: dict[str, Any], inputs: list[dict[str, Any]]) -> int:
    if spec not in inputs:
        inputs.append(spec)
    return inputs.index(spec)


def _multiply_adds(weights: Any, model: nn.Module, task: str, spec: dict[str, Any]) -> int:
    """For one image of the card's size; a detector's depend on what it sees: as published."""
    if task == "detection":
        return round(float(weights.meta["_ops"]) * 1e9)
    return round(describe_structure(model, InputSpec(**spec))[-1].gmacs * 1e9)


def _head(model: nn.Module, wider: nn.Module) -> list[str]:
    """The submodules whose shapes depend on the classes."""
    shapes = {name: tensor.shape for name, tensor in wider.state_dict().items()}
    differing = (n for n, tensor in model.state_dict().items() if tensor.shape != shapes[n])
    return list(dict.fromkeys(name.rpartition(".")[0] for name in differing))


def _stages(model: nn.Module, spec: dict[str, Any]) -> list[tuple[str, int, int]]:
    """The last map of each stride: submodule, channels, stride.

    None at all where the model is no chain of maps (vit), or its maps are not the image divided by
    2, 4, 8 and so on, since convolutions without padding shrink them.
    """
    if isinstance(model, VisionTransformer):
        return []
    size_px = spec["size_px"]
    x = torch.zeros(1, 3, size_px, size_px, device="meta")
    stages: dict[int, tuple[str, int, int]] = {}
    for name, module in body(model.eval()):
        x = module(x)
        _, *sides, channels = x.shape if is_channels_last(model) else x.movedim(1, 3).shape
        stride = size_px // sides[0]
        if sides != [size_px // stride] * 2 or stride & (stride - 1):
            return []
        stages[stride] = (name, channels, stride)
    return list(stages.values())


def _summary_and_paper(name: str) -> tuple[str, str]:
    """What the builder's docstring calls the model, and the paper that it links first."""
    text = " ".join((get_model_builder(name).__doc__ or "").split())
    before = re.split(r",? (?:from|as described (?:in|at)|is based on) ", text)[0].partition(". ")[
        0
    ]
    summary = re.sub(r"^(The|Constructs an?) | (model|architecture)\b", "", before).strip(" .")
    link = re.search(r"`([^`<]*?)\s*<https?://arxiv\.org/abs/([0-9.]+)>`", text)
    return summary, f"{link[1]}, arXiv:{link[2]}" if link else ""


if __name__ == "__main__":
    main()
