"""Every number on a card is counted again here; listing them loads no torch."""

import subprocess
import sys

import pytest
import torch

from zoo.cards import ModelCard
from zoo.checkpoint import class_names
from zoo.models import build_model, describe_structure
from zoo_rcnn.plugin import zoo_models

CARDS = zoo_models()
BY_NAME = {card.name: card for card in CARDS}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_parameters_and_multiply_adds_are_what_the_card_says(card: ModelCard) -> None:
    with torch.device("meta"):
        model = build_model(f"rcnn:{card.name}")

    total = describe_structure(model, card.input)[-1]

    assert total.num_params == card.num_params
    assert total.gmacs == pytest.approx(card.gmacs, abs=1e-9)


def test_multiply_adds_are_those_that_torchvision_publishes() -> None:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    published = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["_ops"]

    assert BY_NAME["faster_rcnn_resnet50_fpn"].gmacs == pytest.approx(published, abs=0.005)


def test_the_published_weights_are_torchvisions() -> None:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    theirs = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    [weights] = BY_NAME["faster_rcnn_resnet50_fpn"].weights

    assert weights.url == theirs.url
    assert weights.sha256 in theirs.url
    assert weights.metrics["ap"] == theirs.meta["_metrics"]["COCO-val2017"]["box_map"] / 100
    names = class_names(weights)
    assert len(names) == len(set(names)) == BY_NAME["faster_rcnn_resnet50_fpn"].num_classes
    assert [name for name in names if not name.startswith("unused")] == [
        name for name in theirs.meta["categories"][1:] if name != "N/A"
    ]
    assert [names[number - 1] for number in (1, 44, 90)] == ["person", "bottle", "toothbrush"]


def test_a_step_of_the_lineage_saves_work() -> None:
    works = [BY_NAME[f"{name}_resnet18"].gmacs for name in ("rcnn", "fast_rcnn", "faster_rcnn")]

    assert works[0] > 50 * works[1] > 100 * works[2]


def test_the_families_have_the_four_backbones_and_any() -> None:
    prefixes = ("rcnn", "spp_net", "fast_rcnn", "faster_rcnn")
    names = {f"{prefix}_resnet{depth}" for prefix in prefixes for depth in (18, 34, 50, 101)}
    pyramids = {f"faster_rcnn_resnet{depth}_fpn" for depth in (18, 34, 50, 101)}

    assert set(BY_NAME) == {*names, *pyramids, *prefixes, "faster_rcnn_fpn", "spp_resnet18"}


def test_cards_load_no_torch() -> None:
    script = "import zoo_rcnn.plugin, sys; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout.strip() == b"set()"


def test_detectors_load_torchvision_only_when_they_run() -> None:
    script = "import zoo_rcnn.faster_rcnn, zoo_rcnn.rcnn, sys; print('torchvision' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout.strip() == b"False"
