"""torchvision's models under zoo's contracts: the same networks, and what zoo asks of them."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from zoo.checkpoint import load_weights
from zoo.cli._main import run
from zoo.errors import ConfigError, WeightsError
from zoo.models import build_backbone, build_model, freeze_parts
from zoo.structures import Batch
from zoo.tasks import DetectionTask
from zoo_testkit import CardContract, ModelContract, PluginContract
from zoo_torchvision.plugin import zoo_models

CARDS = {card.name: card for card in zoo_models()}
LIGHT = "torchvision:shufflenet_v2_x0_5"
FAMILIES = [
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "swin_t",
    "vgg11_bn",
]


class TestPlugin(PluginContract):
    plugin = "torchvision"


class TestClassifier(ModelContract):
    model = LIGHT


class TestSegmenter(CardContract):
    model = "torchvision:lraspp_mobilenet_v3_large"


@functools.cache
def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(f"torchvision:{name}", num_classes=1000).eval()


def images(size_px: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, size_px, size_px, generator=torch.manual_seed(1))


def outputs_of(model: nn.Module, names: list[str], act: Callable[[], object]) -> dict:
    """What the submodules of these names return while the model acts."""
    seen = {}

    def note(name: str, output: torch.Tensor) -> None:
        seen[name] = output.clone()

    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: note(name, y))
        for name in names
    ]
    act()
    [hook.remove() for hook in hooks]
    return seen


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_with_one_seed_it_is_torchvisions_own_network(name):
    torch.manual_seed(0)
    reference = torchvision.models.get_model(name).eval()
    model = classifier(name)

    assert list(model.state_dict()) == list(reference.state_dict())
    assert torch.equal(model(images()), reference(images()))
    assert isinstance(model, type(reference))


@pytest.mark.parametrize("name", FAMILIES)
def test_stage_maps_are_those_of_the_forward_pass(name):
    model = classifier(name)
    names = [stage.name for stage in model.backbone_stages]

    in_chain = outputs_of(model, names, lambda: model.stage_maps(images(), names))
    in_forward = outputs_of(model, names, lambda: model(images()))

    assert list(in_chain) == list(in_forward) == names
    assert all(torch.equal(in_chain[name], in_forward[name]) for name in names)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t"])
def test_a_backbone_keeps_what_its_last_stage_needs_and_nothing_else(name):
    last = classifier(name).backbone_stages[1].name

    body = build_backbone(f"torchvision:{name}", out=[last])

    body(images())[last].sum().backward()
    assert [n for n, p in body.module.named_parameters() if p.grad is None] == []


def test_a_backbone_takes_the_published_weights_of_the_whole():
    body = build_backbone("torchvision:mobilenet_v3_small", out=["features.3"])

    report = load_weights(body.module, classifier("mobilenet_v3_small").state_dict())

    assert report.new == ()
    assert set(report.loaded) == set(body.module.state_dict())


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "inception_v3", "vit_b_16"])
def test_maps_that_are_no_whole_part_of_the_image_are_not_offered(name):
    assert "backbone" not in CARDS[name].tags


@pytest.mark.parametrize("channels", [1, 5])
def test_a_stem_for_other_channels_is_drawn_as_torchvision_draws_its_own(channels):
    torch.manual_seed(0)
    model = build_model("torchvision:resnet18", num_classes=3, in_channels=channels)

    assert model.conv1.weight.shape == (64, channels, 7, 7)
    assert model.conv1.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert model.eval()(images(channels=channels)).shape == (1, 3)


def test_the_feature_is_what_the_last_layer_sees():
    model = classifier("resnet18")

    logits, feature = model.logits_and_features(images())

    assert torch.allclose(model.fc(feature), logits)
    assert torch.equal(model.embed(images()), feature)


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("densenet121", (r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.")),
        ("vit_b_32", (r"mlp\.0\.", r"mlp.linear_1.")),
    ],
)
def test_names_of_old_files_become_todays(name, old):
    model = classifier(name)
    published = {re.sub(*old, key): value for key, value in model.state_dict().items()}
    fresh = build_model(f"torchvision:{name}", num_classes=1000)
    assert published.keys() != model.state_dict().keys()

    load_weights(fresh, published)

    assert all(torch.equal(v, model.state_dict()[k]) for k, v in fresh.state_dict().items())


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("googlenet", {"aux_logits": True, "init_weights": True}),
        ("lraspp_mobilenet_v3_large", {"weights_backbone": None}),
        ("fcn_resnet50", {"weights_backbone": None, "aux_loss": True}),
    ],
)
def test_files_with_heads_for_training_alone_load(name, reference):
    published = torchvision.models.get_model(name, **reference).state_dict()
    model = build_model(f"torchvision:{name}", num_classes=5)

    report = load_weights(model, published)

    heads = {name.rpartition(".")[0] for name in report.new}
    assert heads == set(model.head_parts)


def test_weights_of_another_model_are_refused():
    with pytest.raises(WeightsError, match="do not fit"):
        load_weights(classifier("resnet18"), classifier("mobilenet_v3_small").state_dict())


def test_freezing_the_backbone_leaves_the_layer_with_the_classes():
    model = build_model(LIGHT, num_classes=3)

    freeze_parts(model, ["backbone"])

    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]


def test_a_segmenter_gives_each_pixel_its_logits():
    model = build_model("torchvision:lraspp_mobilenet_v3_large", num_classes=4, in_channels=1)

    assert model.eval()(images(channels=1)).shape == (1, 4, 64, 64)


def test_a_detector_adds_the_background_and_wants_rgb():
    name = "torchvision:ssdlite320_mobilenet_v3_large"
    with torch.device("meta"):
        model = build_model(name)

    assert sum(p.numel() for p in model.parameters()) == CARDS[name.partition(":")[2]].num_params
    with pytest.raises(ConfigError, match="takes RGB images"):
        build_model(name, in_channels=1)


def test_images_of_another_size_are_an_option_of_those_that_have_one():
    model = build_model("torchvision:vit_b_32", num_classes=2, image_size=64).eval()

    assert model(images()).shape == (1, 2)
    with pytest.raises(ConfigError, match="takes images of any size"):
        build_model(LIGHT, image_size=64)


def test_published_weights_start_a_run_on_digits_with_a_new_head(tmp_path, capsys):
    weights = tmp_path / "published.pth"
    torch.save(build_model(LIGHT).state_dict(), weights)
    words = ["train", LIGHT, "--weights", weights, "--freeze", "backbone", "--max-steps", "2"]

    code = run([*map(str, words), "--device", "cpu", "--output", str(tmp_path / "run"), "--json"])

    said = capsys.readouterr()
    assert code == 0, said.err
    assert "new: fc.weight, fc.bias" in said.err
    assert "val/top1" in json.loads(said.out)["metrics"]


SMALL_DETECTOR = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"
SMALL = {"num_classes": 3, "min_size": 64, "max_size": 96}


def scenes() -> Batch:
    """An image of two objects, a crowd and a difficult object, and a smaller one of none."""
    corners = [[5.0, 5, 40, 50], [30, 20, 60, 60], [0, 0, 9, 9], [50, 5, 70, 30]]
    boxes = torch.tensor(corners).repeat(2, 1, 1)
    targets = {
        "boxes": boxes,
        "labels": torch.tensor([[0, 2, 1, 1], [-1, -1, -1, -1]]),
        "crowd": torch.tensor([[False, False, True, False]]).repeat(2, 1),
        "difficult": torch.tensor([[False, False, False, True]]).repeat(2, 1),
    }
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.tensor([[64, 96], [50, 60]]), torch.arange(2), targets)


def detector(name: str = SMALL_DETECTOR, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, **SMALL | options)


def test_a_detector_learns_in_training_as_torchvision_has_it():
    model, batch = detector().train(), scenes()

    torch.manual_seed(1)
    losses = DetectionTask(classes="abc").step(model, batch).losses

    torch.manual_seed(1)
    images = [batch.images[0], batch.images[1, :, :50, :60]]
    boxes, labels = batch.targets["boxes"][0, :2], torch.tensor([1, 3])
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    bare = build_bare(model)
    expected = bare(images, [{"boxes": boxes, "labels": labels}, none])
    assert set(losses) == {"classifier", "box_reg", "objectness", "rpn_box_reg"}
    for name, loss in losses.items():
        mean = expected.get(f"loss_{name}", expected.get(name))
        torch.testing.assert_close(loss.total / loss.count, mean)


def build_bare(model: nn.Module) -> nn.Module:
    """torchvision's own model with the same weights."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as build

    bare = build(weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96)
    bare.load_state_dict(model.state_dict())
    return bare.train(model.training)


def test_a_detector_answers_in_evaluation_as_torchvision_does_and_has_no_loss():
    model, batch = detector().eval(), scenes()

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        step = DetectionTask(classes="abc").step(model, batch)

    with torch.no_grad():
        (expected,) = build_bare(model)([batch.images[1, :, :50, :60]])
    found = step.predictions[1]
    assert step.losses == {}
    assert len(found) > 0
    torch.testing.assert_close(found.boxes, expected["boxes"])
    torch.testing.assert_close(found.scores, expected["scores"])
    assert found.labels.equal(expected["labels"] - 1)


def test_a_detector_of_masks_says_that_it_cannot_learn_from_boxes():
    model = detector("torchvision:maskrcnn_resnet50_fpn").train()

    with pytest.raises(ConfigError, match="learns from masks too"):
        DetectionTask(classes="abc").step(model, scenes())


def test_an_ssd_has_one_size():
    with pytest.raises(ConfigError, match="at one size"):
        detector("torchvision:ssdlite320_mobilenet_v3_large")
