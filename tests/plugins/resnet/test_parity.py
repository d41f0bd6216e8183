"""The family against torchvision's: keys, fresh weights, outputs and gradients, bit for bit."""

import json
import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

from zoo.cards import ModelCard, WeightsCard
from zoo_resnet.plugin import zoo_models
from zoo_resnet.resnet import resnet

NAMES = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "resnext50_32x4d",
]
SMALL = ["resnet18", "resnet50", "resnext50_32x4d"]
CARDS = {card.name: card for card in zoo_models()}
PUBLISHED = [(card, weights) for card in CARDS.values() for weights in card.weights]


def theirs(name: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return getattr(torchvision.models, name)(num_classes=11, **options)


def ours(name: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return resnet(name, num_classes=11, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"zero_init_residual": name == "resnet50"}) for name in [*SMALL, "wide_resnet50_2"]],
)
def test_one_seed_gives_the_same_fresh_weights(name: str, options: dict[str, bool]) -> None:
    expected = theirs(name, **options).state_dict()

    found = ours(name, **options).state_dict()

    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_buffers_have_the_same_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        expected = theirs(name).state_dict()
        found = ours(name).state_dict()

    assert [(k, v.shape, v.dtype) for k, v in found.items()] == [
        (k, v.shape, v.dtype) for k, v in expected.items()
    ]


@pytest.mark.parametrize("name", SMALL)
def test_loaded_strictly_it_gives_the_same_outputs_and_gradients(name: str) -> None:
    expected, found = theirs(name), ours(name, seed=1)
    found.load_state_dict(expected.state_dict(), strict=True)
    images = torch.rand(2, 3, 64, 64)
    labels = torch.tensor([3, 7])

    logits = [network(images) for network in (expected, found)]
    for output in logits:
        nn.functional.cross_entropy(output, labels).backward()

    assert torch.equal(*logits)
    pairs = zip(expected.parameters(), found.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs)
    buffers = zip(expected.buffers(), found.buffers(), strict=True)
    assert all(torch.equal(a, b) for a, b in buffers)


@pytest.mark.parametrize("name", SMALL)
def test_in_evaluation_it_gives_the_same_outputs(name: str) -> None:
    expected, found = theirs(name).eval(), ours(name).eval()
    images = torch.rand(2, 3, 75, 50)

    with torch.no_grad():
        assert torch.equal(found(images), expected(images))


def test_torchvision_loads_our_weights() -> None:
    network = theirs("resnet18")

    missing, unexpected = network.load_state_dict(ours("resnet18", seed=1).state_dict())

    assert (missing, unexpected) == ([], [])


def published_by_torchvision(card: ModelCard, weights: WeightsCard) -> object:
    names = {name.lower(): name for name in dir(torchvision.models)}
    members = getattr(torchvision.models, names[f"{card.name}_weights"]).__members__
    return members[weights.name.upper()].value


@pytest.mark.parametrize(("card", "weights"), PUBLISHED)
def test_weights_cards_say_what_torchvision_publishes(
    card: ModelCard, weights: WeightsCard
) -> None:
    published = published_by_torchvision(card, weights)
    preset = published.transforms()
    accuracy = published.meta["_metrics"]["ImageNet-1K"]

    assert weights.url == published.url
    assert f"-{weights.sha256}." in published.url
    assert weights.metrics == {
        "top1": pytest.approx(accuracy["acc@1"] / 100, abs=1e-9),
        "top5": pytest.approx(accuracy["acc@5"] / 100, abs=1e-9),
    }
    assert published.meta["num_params"] == card.num_params
    assert weights.preprocess.size_px == preset.crop_size[0]
    assert weights.preprocess.resize_px == preset.resize_size[0]
    assert list(weights.preprocess.mean) == list(preset.mean)
    assert list(weights.preprocess.std) == list(preset.std)
    assert weights.preprocess.interpolation == preset.interpolation.value


@pytest.mark.parametrize("name", NAMES)
def test_no_published_weights_are_left_out(name: str) -> None:
    names = {attribute.lower(): attribute for attribute in dir(torchvision.models)}
    published = getattr(torchvision.models, names[f"{name}_weights"]).__members__

    found = [weights.name for weights in CARDS[name].weights]

    assert found == [member.lower() for member in published if member != "DEFAULT"]


def test_class_names_are_torchvisions() -> None:
    from zoo.checkpoint import class_names

    expected = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]

    assert list(class_names(CARDS["resnet18"].weights[0])) == expected


def test_building_and_running_imports_neither_torchvision_nor_the_compiler() -> None:
    script = """
import json, sys, torch
from zoo.models import build_model, describe_structure
from zoo.cards import InputSpec
model = build_model("resnet18", num_classes=3)
model(torch.zeros(2, 3, 32, 32)).sum().backward()
describe_structure(model, InputSpec(size_px=32))
print(json.dumps([name for name in ("torchvision", "torch._dynamo") if name in sys.modules]))
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert json.loads(done.stdout) == []
