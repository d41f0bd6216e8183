"""Compute the table of timm's models anew, from the installed timm.

    python -m zoo_timm.table    writes models.tsv and imagenet1k.txt

Models are built and run on torch's meta device, which has shapes and no numbers.  Parameters and
multiply-adds are counted by zoo; what timm publishes of its weights is copied.  Left out are what
is no classifier (timm's encoders of language models) and what takes no square images.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import timm
import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.models import model_entrypoint
from torch import nn

from zoo.cards import InputSpec
from zoo.models import describe_structure
from zoo_timm.plugin import HUB_OWNER, TABLE

CLASSES = 1000
"""Of a card whose model has, by default, no classifier."""
CLASS_FILES = {
    "imagenet-1k": "zoo_timm:imagenet1k.txt",
    # The others are named by their WordNet numbers, in the files of timm itself.
    "imagenet-12k": "timm.data._info:imagenet12k_synsets.txt",
    "imagenet-22k": "timm.data._info:imagenet22k_synsets.txt",
    "imagenet-22k-ms": "timm.data._info:imagenet22k_ms_synsets.txt",
    "imagenet-21k-goog": "timm.data._info:imagenet21k_goog_synsets.txt",
    "imagenet-21k-miil": "timm.data._info:imagenet21k_miil_synsets.txt",
}
HASHED = re.compile(r"https://.*-[0-9a-f]{8,}\.[a-z]+")
"""An address whose file name states the beginning of its SHA-256."""


def main() -> None:
    """Write the shipped files."""
    TABLE.write_text(dump(*build_table()), encoding="utf-8")
    names = "".join(f"{name}\n" for name in class_names())
    TABLE.with_name("imagenet1k.txt").write_text(names, encoding="utf-8")


def build_table() -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What the rows share, and the rows by name; takes about a quarter of an hour."""
    shared = Shared()
    rows = {name: model_row(name, shared) for name in model_names()}
    return {"version": timm.__version__, **vars(shared)}, rows


def dump(shared: Mapping[str, Any], rows: Mapping[str, list[Any]]) -> str:
    """The table as text: a line for what the rows share, and one for each model."""
    compact = functools.partial(json.dumps, separators=(",", ":"))
    lines = [compact(shared), *(f"{name}\t{compact(row)}" for name, row in rows.items())]
    return "".join(f"{line}\n" for line in lines)


def model_names() -> list[str]:
    """The names of the models that the table has."""
    names: list[str] = timm.list_models()
    return [name for name in names if _is_square(name) and not name.endswith("_enc")]


class Shared:
    """Values that many rows have in common; a row has their index.

    Attributes:
        inputs, classes, licenses: as the table has them.
    """

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.classes: list[str] = ["", *CLASS_FILES.values()]
        self.licenses: list[str] = [""]

    def index_of_license(self, config: Any) -> int:
        """Of the licence that timm states of a set of weights, if it knows one."""
        known = config.license if config.license not in (None, "unknown") else ""
        return _index(known, self.licenses)


def model_row(name: str, shared: Shared) -> list[Any]:
    """The facts of one model, as ``zoo_timm.plugin.model_card`` names them."""
    default = _config(name)
    classes = default.num_classes or CLASSES
    spec = input_of(default, as_tested=False)
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=classes)
    return [
        _summary(name, model),
        classes,
        _index(spec, shared.inputs),
        sum(parameter.numel() for parameter in model.parameters()),
        round(describe_structure(model, InputSpec(**spec))[-1].gmacs * 1e9),
        tags_of(default, gives_stage_maps(model, spec["size_px"])),
        list(weights_rows(name, shared)),
    ]


def weights_rows(name: str, shared: Shared) -> Iterator[list[Any]]:
    """What timm says of each set of a model's weights that zoo can fetch."""
    for full_name in timm.list_pretrained(f"{name}.*"):
        config = _config(full_name)
        address = _address(full_name, config)
        if address is not None:
            yield [
                config.tag,
                address,
                _index(input_of(config, as_tested=True), shared.inputs),
                shared.classes.index(CLASS_FILES.get(_image_net(config), "")),
                shared.index_of_license(config),
            ]


def _address(full_name: str, config: Any) -> str | None:
    """Where zoo fetches weights: "" is timm's own repository; None: nowhere that can be trusted.

    An address that states its hash comes first; then timm's own repository, whose safetensors are
    in timm's names.  Left out are strangers' repositories and files without a hash, and those that
    only code of one model can read.
    """
    if config.url and HASHED.fullmatch(config.url) and not config.custom_load:
        return str(config.url)
    return "" if config.hf_hub_id == HUB_OWNER + full_name else None


def input_of(config: Any, *, as_tested: bool) -> dict[str, Any]:
    """How an image becomes an input, as the arguments of ``InputSpec``.

    Args:
        config: timm's of a set of weights.
        as_tested: as its accuracy was measured, where that differs from its training.
    """
    size, crop = config.input_size, config.crop_pct
    if as_tested:
        size, crop = config.test_input_size or size, config.test_crop_pct or crop
    # "squash" without a margin resizes both sides to the size; so does None.
    squashed = config.crop_mode == "squash" and crop == 1.0
    return {
        "size_px": size[1],
        "resize_px": None if squashed else math.floor(size[1] / crop),
        "mean": list(config.mean),
        "std": list(config.std),
        "interpolation": config.interpolation,
    }


def tags_of(config: Any, staged: bool) -> list[str]:
    """Of a card: ``backbone`` gives stage maps, ``fixed-size`` takes images of one size."""
    tags = {"backbone": staged, "fixed-size": config.fixed_input_size}
    return [tag for tag, holds in tags.items() if holds]


def gives_stage_maps(model: nn.Module, size_px: int) -> bool:
    """Whether the maps are what timm says of them, each in a submodule of its own.

    Their sides are the image's divided by the stride, upwards.
    """
    info = list(model.feature_info)  # type: ignore[arg-type]
    images = torch.zeros(1, 3, size_px, size_px, device="meta")
    indices = list(range(len(info)))
    try:
        maps = model.eval().forward_intermediates(  # type: ignore[operator]
            images, indices=indices, intermediates_only=True
        )
    except RuntimeError:  # it looks at values, which the meta device has not
        return False
    expected = [[each["num_chs"], *[-(-size_px // each["reduction"])] * 2] for each in info]
    unique = len({each["module"] for each in info}) == len(info)
    return unique and [list(m.shape[1:]) for m in maps] == expected


def _image_net(config: Any) -> str:
    """Which ImageNet's classes the weights are for; "" for another number of outputs."""
    return infer_imagenet_subset(config.to_dict()) or ""


def class_names() -> list[str]:
    """The classes of ImageNet-1k."""
    info: Any = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(index) for index in range(info.num_classes())]


def _config(name: str) -> Any:
    """What timm says of the weights ``architecture.tag``; without a tag, of its default ones."""
    return timm.get_pretrained_cfg(name)


def _is_square(name: str) -> bool:
    _, height, width = _config(name).input_size
    return bool(height == width)


def _index(value: Any, values: list[Any]) -> int:
    if value not in values:
        values.append(value)
    return values.index(value)


def _summary(name: str, model: nn.Module) -> str:
    """What timm's docstring calls the model; its class where it has none."""
    text = " ".join((model_entrypoint(name).__doc__ or "").split())
    text = re.sub(r"^(Constructs?|Instantiates?) (an? |the )?|\(?https?://\S+\)?", "", text)
    summary = text.split(". ")[0].strip(" .,`-")
    return summary if 0 < len(summary) <= 80 else type(model).__name__


if __name__ == "__main__":
    main()
