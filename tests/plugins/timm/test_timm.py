"""timm's models under zoo's contracts, and the shipped table beside the installed timm."""

import functools
import json
import random
import re
import sys

import pytest
import timm
import torch
from torch import nn

from zoo.cards import read_card_table
from zoo.checkpoint import class_names, load_weights
from zoo.cli._main import run
from zoo.errors import ConfigError, PluginError, UsageError
from zoo.models import build_backbone, build_model, freeze_parts
from zoo_testkit import ModelContract, PluginContract
from zoo_timm import table
from zoo_timm.plugin import TABLE, zoo_models

SHARED, TEXTS = read_card_table(TABLE)
SHIPPED = {name: json.loads(text) for name, text in TEXTS.items()}
SAMPLE = random.Random(11).sample(sorted(SHIPPED), 8)
FAMILIES = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "levit_128s"]

made_for_installed = pytest.mark.skipif(
    timm.__version__ != SHARED["version"],
    reason="the table is for another timm, and zoo says so",
)


class TestPlugin(PluginContract):
    plugin = "timm"


class TestConvNet(ModelContract):
    model = "timm:test_convnext"


@functools.cache
def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(f"timm:{name}").eval()


def images(size_px: int, channels: int = 3) -> torch.Tensor:
    generator = torch.manual_seed(1)
    return torch.randn(1, channels, size_px, size_px, generator=generator)


def renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    """A name with each of the rules, patterns and what stands for them, applied in turn."""
    return functools.reduce(lambda text, rule: re.sub(*rule, text), rules, name)


@made_for_installed
def test_every_classifier_of_timm_is_in_the_table():
    left_out = set(timm.list_models()) - SHIPPED.keys()

    assert list(SHIPPED) == table.model_names()
    assert len(SHIPPED) > 1_300
    assert len(left_out) == 12


@made_for_installed
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_rows_is_what_is_counted_again(name):
    shared = table.Shared()
    shared.inputs, shared.licenses = list(SHARED["inputs"]), list(SHARED["licenses"])

    row = table.model_row(name, shared)

    assert json.loads(json.dumps(row)) == SHIPPED[name]
    assert shared.inputs == SHARED["inputs"]


@made_for_installed
def test_all_weights_are_as_published():
    shared = table.Shared()
    shared.inputs, shared.licenses = list(SHARED["inputs"]), list(SHARED["licenses"])

    rows = {name: list(table.weights_rows(name, shared)) for name in SHIPPED}

    assert rows == {name: row[-1] for name, row in SHIPPED.items()}
    assert shared.classes == SHARED["classes"]


@made_for_installed
def test_the_names_of_classes_are_timms():
    assert TABLE.with_name("imagenet1k.txt").read_text().splitlines() == table.class_names()


def test_writing_the_table_again_gives_the_same_bytes():
    assert table.dump(SHARED, SHIPPED) == TABLE.read_text()


def test_weights_come_from_an_address_with_a_hash_or_from_timms_own_repository():
    weights = {card.name: card for card in zoo_models().card("resnet18").weights}

    hashed, on_the_hub = weights["tv_in1k"], zoo_models().card("convnext_tiny").weights[2]

    assert hashed.url == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert hashed.sha256 == "f37072fd"
    assert on_the_hub.name == "fb_in1k"
    assert on_the_hub.url == (
        "https://huggingface.co/timm/convnext_tiny.fb_in1k/resolve/main/model.safetensors"
    )
    assert on_the_hub.sha256 == ""


def test_classes_beyond_imagenet_1k_are_named_by_timms_own_files():
    weights = {card.name: card for card in zoo_models().card("convnext_tiny").weights}

    assert class_names(weights["in12k"])[0].startswith("n0")
    assert len(class_names(weights["fb_in22k"])) == 21_841
    assert weights["dinov3_lvd1689m"].classes == ""


def test_an_image_is_resized_as_its_accuracy_was_measured():
    card = zoo_models().card("convnext_tiny")

    measured = {weights.name: weights.preprocess for weights in card.weights}

    assert (card.input.size_px, card.input.resize_px) == (224, 235)
    assert (measured["fb_in1k"].size_px, measured["fb_in1k"].resize_px) == (288, 288)
    assert measured["in12k_ft_in1k_384"].resize_px is None


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_with_one_seed_it_is_timms_own_network(name):
    torch.manual_seed(0)
    reference = timm.create_model(name).eval()
    model = classifier(name)

    assert list(model.state_dict()) == list(reference.state_dict())
    assert torch.equal(model(images(160)), reference(images(160)))


@pytest.mark.parametrize("name", FAMILIES)
def test_stage_maps_have_the_stated_channels_and_strides(name):
    card, model = zoo_models().card(name), classifier(name)
    size_px, stages = card.input.size_px, model.backbone_stages

    maps = model.stage_maps(images(size_px), [stage.name for stage in stages[1:3]])

    assert {n: tuple(m.shape) for n, m in maps.items()} == {
        stage.name: (1, stage.channels, *2 * (-(-size_px // stage.stride),))
        for stage in stages[1:3]
    }


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_a_backbone_keeps_what_its_last_stage_needs_and_takes_the_whole_ones_weights(name):
    last = classifier(name).backbone_stages[2].name

    body = build_backbone(f"timm:{name}", out=[last])

    load_weights(body.module, classifier(name).state_dict())
    body.module.eval()
    body(images(160))[last].sum().backward()
    assert [n for n, p in body.module.named_parameters() if p.grad is None] == []
    assert body(images(160))[last].equal(classifier(name).stage_maps(images(160), [last])[last])


def test_frozen_norms_that_apply_the_activation_keep_doing_so():
    body = build_backbone("timm:test_efficientnet", norm="frozen")
    learned = [n for n, p in body.module.named_parameters() if p.requires_grad and "bn" in n]

    body.module.train()

    before = {n: b.clone() for n, b in body.module.named_buffers()}
    body(images(64))
    assert learned == []
    assert all(b.equal(before[n]) for n, b in body.module.named_buffers())


def test_the_feature_is_what_the_last_layer_sees():
    model = classifier("test_resnet")

    logits, feature = model.logits_and_features(images(160))

    assert torch.allclose(model.fc(feature), logits)
    assert torch.equal(model.embed(images(160)), feature)


def test_freezing_the_backbone_leaves_the_layer_with_the_classes():
    model = build_model("timm:test_convnext", num_classes=3, in_channels=1)

    freeze_parts(model, ["backbone"])

    learning = [n for n, p in model.named_parameters() if p.requires_grad]
    assert learning == ["head.fc.weight", "head.fc.bias"]
    assert model.eval()(images(64, channels=1)).shape == (1, 3)


def test_an_authors_own_names_are_converted_by_timm():
    model = classifier("test_convnext")
    authors = (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^(stages\.\d)\.blocks\.", r"\1."),
        (r"\.conv_dw\.", ".dwconv."),
        (r"\.mlp\.fc", ".pwconv"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    )
    published = {renamed(name, authors): value for name, value in model.state_dict().items()}
    fresh = build_model("timm:test_convnext")

    load_weights(fresh, published)

    assert "downsample_layers.0.0.weight" in published
    assert "stages.0.0.pwconv1.weight" in published
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in fresh.state_dict().items())


def test_positions_are_resampled_for_images_of_another_size():
    model = classifier("test_vit")
    smaller = build_model("timm:test_vit", image_size=96)

    load_weights(smaller, model.state_dict())

    assert smaller.pos_embed.shape != model.pos_embed.shape
    assert torch.equal(smaller.patch_embed.proj.weight, model.patch_embed.proj.weight)


def test_an_option_that_the_model_has_not_is_refused():
    with pytest.raises(ConfigError, match="test_resnet has no such option"):
        build_model("timm:test_resnet", image_size=64)


def test_without_timm_listing_works_and_building_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(UsageError, match="the model test_resnet needs timm") as caught:
        build_model("timm:test_resnet")

    assert caught.value.cure == "pip install 'zoo-timm[timm]'"
    assert len(zoo_models()) > 1_300


def test_a_model_that_an_older_timm_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(timm, "is_model", lambda name: False)

    with pytest.raises(PluginError, match=f"timm {timm.__version__} has no test_resnet"):
        build_model("timm:test_resnet")


def test_published_weights_start_a_run_on_digits_with_a_new_head(tmp_path, capsys):
    weights = tmp_path / "published.pth"
    torch.save(classifier("test_convnext").state_dict(), weights)
    words = ["train", "timm:test_convnext", "--weights", str(weights), "--freeze", "backbone"]

    code = run([*words, "--max-steps", "2", "--device", "cpu", "--output", str(tmp_path / "run")])

    said = capsys.readouterr().err
    assert code == 0, said
    assert "new: head.fc.weight, head.fc.bias" in said
