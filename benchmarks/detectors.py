"""How long the four detectors look at an image, on the same images and the same boxes.

    python benchmarks/detectors.py [--setting scene|photo] [--rounds 5] [--threads 2] [--json]

Nothing is trained.  Every detector sees the same image by itself, as in an evaluation, and the
first three the same boxes; Faster R-CNN proposes its own.  What is measured is the whole way of an
image from pixels to detections, in the precision that this machine trains in.

scene  96 px, ResNet-18 as the recipes for small images have it: R-CNN warps regions to 32 px.
photo  600 x 800 px, ResNet-18 as the papers have it: R-CNN warps regions to 224 px, the next three
       pool from the map of stride 16.

A fresh detector finds every class everywhere, and would spend its time on suppression; here the
background leads, as it does on most regions once a detector has learned.

In each round every detector looks once, in turn; the figure to keep is the ratio of the medians.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.devices import autocast, choose_precision
from zoo_rcnn import recipes

CPU = torch.device("cpu")
NUM_CLASSES = 20
BACKGROUND_LEAD = 6.0
"""By which the background's logit leads: the others score less than a detection must."""


@dataclass(frozen=True)
class Setting:
    """An image, how many boxes, and the options of each detector.

    Attributes:
        height, width: of the image in px.
        counts: of boxes that come from outside.
        options: of each model's builder.
    """

    height: int
    width: int
    counts: tuple[int, ...]
    options: dict[str, dict[str, Any]]


SETTINGS = {
    "scene": Setting(
        96,
        96,
        (300, 1000),
        {
            "rcnn_resnet18": recipes.rcnn_small()["model"],
            "spp_net_resnet18": recipes.single_map_small()["model"],
            "fast_rcnn_resnet18": recipes.single_map_small()["model"],
            "faster_rcnn_resnet18": recipes.faster_rcnn_small()["model"],
            "faster_rcnn_resnet18_fpn": recipes.fpn_small()["model"],
        },
    ),
    "photo": Setting(
        600,
        800,
        (300, 2000),
        {
            "rcnn_resnet18": {"region_px": 224},
            "spp_net_resnet18": {},
            "fast_rcnn_resnet18": {},
            "faster_rcnn_resnet18": {},
            "faster_rcnn_resnet18_fpn": {},
        },
    ),
}


def outside_boxes(setting: Setting, count: int) -> dict[str, Tensor]:
    """Targets with boxes of all sizes and shapes from an eighth of the image to the whole of it."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.tensor([setting.width, setting.height])
    sides = whole * (1 / 8 + 7 / 8 * torch.rand(count, 2, generator=generator) ** 2)
    corners = (whole - sides) * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corners, corners + sides], dim=1)
    return {"proposals": boxes[None], "proposal_counts": torch.tensor([count])}


def detector(name: str, options: dict[str, Any]) -> nn.Module:
    """A fresh one, to which every region looks like background."""
    torch.manual_seed(0)
    model = zoo.build_model(name, num_classes=NUM_CLASSES, **options).eval()
    with torch.no_grad():
        model.get_parameter("roi_heads.box_predictor.cls_score.bias")[0] += BACKGROUND_LEAD
    return model.to(memory_format=torch.channels_last)


def looks(setting: Setting, count: int) -> dict[str, tuple[nn.Module, Callable[[], object]]]:
    """Each detector, and what it does in a round."""
    image = torch.randn(
        1, 3, setting.height, setting.width, generator=torch.Generator().manual_seed(1)
    ).contiguous(memory_format=torch.channels_last)
    sizes = torch.tensor([[setting.height, setting.width]])
    boxes = outside_boxes(setting, count)
    models = {name: detector(name, options) for name, options in setting.options.items()}
    return {name: (model, partial(model, image, sizes, boxes)) for name, model in models.items()}


def measure(setting: Setting, count: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each detector; the ratio is to Fast R-CNN."""
    candidates = looks(setting, count)
    times_s: dict[str, list[float]] = {name: [] for name in candidates}
    gmacs = {}
    with torch.inference_mode(), autocast(CPU, choose_precision("auto", CPU)):
        for name, (_, look) in candidates.items():
            with FlopCounterMode(display=False) as flops:
                look()
            gmacs[name] = flops.get_total_flops() / 2e9
        for _ in range(rounds):
            for name, (_, look) in candidates.items():
                start = time.perf_counter()
                look()
                times_s[name].append(time.perf_counter() - start)
    fast_s = statistics.median(times_s["fast_rcnn_resnet18"])
    return [
        {
            "model": name,
            "million_parameters": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
            "gmacs": round(gmacs[name], 2),
            "median_ms": round(1e3 * statistics.median(times_s[name]), 1),
            "fastest_ms": round(1e3 * min(times_s[name]), 1),
            "ratio": round(statistics.median(times_s[name]) / fast_s, 2),
        }
        for name, (model, _) in candidates.items()
    ]


def main() -> None:
    """Measure, and print tables or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--setting", choices=SETTINGS, help="default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    facts = {
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        "precision": choose_precision("auto", CPU),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    tables = {
        f"{name}, {count} boxes": measure(SETTINGS[name], count, arguments.rounds)
        for name in ([arguments.setting] if arguments.setting else SETTINGS)
        for count in SETTINGS[name].counts
    }
    if arguments.json:
        print(json.dumps({**facts, "tables": tables}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    for title, rows in tables.items():
        print(f"\n{title}")
        print(f"{'':<26}{'M param.':>9}{'GMACs':>10}{'median ms':>11}{'fastest':>10}{'ratio':>8}")
        for row in rows:
            print(
                "{model:<26}{million_parameters:>9}{gmacs:>10}{median_ms:>11}{fastest_ms:>10}"
                "{ratio:>8}".format(**row)
            )


if __name__ == "__main__":
    main()
