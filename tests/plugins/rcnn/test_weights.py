"""Weights for the whole detector with other classes, and for its backbone alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zoo.checkpoint import load_weights
from zoo.inference import load_model
from zoo.models import build_model, freeze_parts
from zoo_rcnn.plugin import zoo_models

ON_RESNET18 = [card for card in zoo_models() if card.options.get("backbone") == "resnet18"]


@pytest.mark.parametrize(
    ("card", "options"),
    [*((card, {}) for card in ON_RESNET18), (ON_RESNET18[0], {"norm": "frozen"})],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_backbone_takes_the_weights_of_its_model(card, options: dict[str, str]) -> None:
    model = build_model(f"rcnn:{card.name}", num_classes=3, **options)
    tensors = build_model("resnet18").state_dict()

    report = load_weights(model.get_submodule(card.backbone_part), tensors)

    loaded = model.get_submodule(card.backbone_part).state_dict()
    assert report.new == ()
    assert torch.equal(loaded["layer3.1.conv2.weight"], tensors["layer3.1.conv2.weight"])
    assert "fc.weight" not in loaded


@pytest.mark.parametrize("card", ON_RESNET18, ids=lambda card: card.name)
def test_a_file_of_weights_says_for_how_many_classes_it_is(card, tmp_path: Path) -> None:
    save_file(
        build_model(f"rcnn:{card.name}", num_classes=3).state_dict(), tmp_path / "w.safetensors"
    )

    predictor = load_model(f"rcnn:{card.name}", str(tmp_path / "w.safetensors"))

    assert predictor.record.num_classes == 3


@pytest.mark.parametrize("card", ON_RESNET18[::5], ids=lambda card: card.name)
def test_for_other_classes_only_the_last_layers_are_new(card) -> None:
    tensors = build_model(f"rcnn:{card.name}", num_classes=20).state_dict()
    model = build_model(f"rcnn:{card.name}", num_classes=3)

    report = load_weights(model, tensors)

    assert report.new
    assert all(name.startswith(type(model).head_parts) for name in report.new)


@pytest.mark.parametrize("card", ON_RESNET18, ids=lambda card: card.name)
def test_the_backbone_can_be_frozen(card) -> None:
    model = build_model(f"rcnn:{card.name}", num_classes=3)

    freeze_parts(model, [card.backbone_part])

    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning
    assert not any(name.startswith(card.backbone_part) for name in learning)
