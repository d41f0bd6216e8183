"""A U-Net on a backbone of the registry: any number of stages, pretrained weights by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zoo.cards import IMAGENET_MEAN, IMAGENET_STD
from zoo.config import Layer
from zoo.errors import ConfigError, UnknownNameError, UsageError
from zoo.models import build_model
from zoo.registry import default_registry
from zoo.structures import Backbone, Stage
from zoo.workflows._model import build_planned_model
from zoo.workflows._plan import RunPlan, plan_run
from zoo_unet.encoder_unet import EncoderUNet
from zoo_unet.unet import unet

RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class Pyramid(nn.Module):
    """A backbone of one convolution for each stage, after the strides that it is told."""

    def __init__(self, *strides: int) -> None:
        super().__init__()
        self.stages = tuple(Stage(f"s{i}", 4 + i, stride) for i, stride in enumerate(strides))
        self.convs = nn.ModuleList(nn.Conv2d(3, stage.channels, 1) for stage in self.stages)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            stage.name: conv(nn.functional.avg_pool2d(images, stage.stride, ceil_mode=True))
            for stage, conv in zip(self.stages, self.convs, strict=True)
        }

    def as_backbone(self) -> Backbone:
        return Backbone(module=self, stages=self.stages)


def plan(**model: Any) -> RunPlan:
    return plan_run([Layer("test", {"model": model})], default_registry())


@pytest.mark.parametrize(
    "strides", [(1, 2, 4), (4, 8, 16, 32), (2, 4, 8, 16, 32), (8,), (1,), (2, 8), (2, 2, 4, 4)]
)
@pytest.mark.parametrize("up", ["transposed", "bilinear"])
def test_any_number_of_stages_gives_logits_of_the_images_size(
    strides: tuple[int, ...], up: str
) -> None:
    network = EncoderUNet(Pyramid(*strides).as_backbone(), num_classes=5, width=2, up=up)

    logits = network(torch.rand(2, 3, 45, 62))

    assert logits.shape == (2, 5, 45, 62)


def test_a_step_has_the_skip_of_its_stride_and_the_last_of_several() -> None:
    network = EncoderUNet(Pyramid(2, 2, 8, 8).as_backbone(), num_classes=2)

    assert network.coarsest == "s3"
    assert network.skips == [None, "s1", None]


def test_a_stride_that_doubling_cannot_undo_is_refused() -> None:
    with pytest.raises(ConfigError, match="a map of stride 6"):
        EncoderUNet(Pyramid(2, 6).as_backbone(), num_classes=2)


def test_a_backbone_that_does_not_say_how_far_it_sees_is_run_whole() -> None:
    assert EncoderUNet(Pyramid(1, 2).as_backbone(), num_classes=2).tiling is None


@pytest.mark.parametrize("encoder", RESNETS)
def test_a_card_and_the_option_name_the_same_network(encoder: str) -> None:
    with torch.device("meta"):
        by_card = build_model(f"unet_{encoder}", num_classes=3).state_dict()
        by_option = build_model("unet", num_classes=3, encoder=encoder).state_dict()

    assert {k: v.shape for k, v in by_card.items()} == {k: v.shape for k, v in by_option.items()}


def test_gradients_reach_every_part_of_it() -> None:
    network = unet(num_classes=1, width=2, encoder="resnet20")

    network(torch.rand(2, 3, 32, 32)).sum().backward()

    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_unknown_encoder_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        plan(name="unet", encoder="resnet43")

    assert "resnet34" in caught.value.cure


@pytest.fixture
def resnet20_file(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    file = tmp_path / "resnet20.safetensors"
    save_file(build_model("resnet20", num_classes=10).state_dict(), file)
    return file


def test_weights_of_the_backbone_are_loaded_into_the_encoder_alone(resnet20_file: Path) -> None:
    said: list[str] = []
    planned = plan(name="unet", encoder="resnet20", backbone_weights=str(resnet20_file))

    network = build_planned_model(
        planned,
        num_classes=3,
        device=torch.device("cpu"),
        registry=default_registry(),
        message=said.append,
    )

    published = load_file(resnet20_file)
    encoder = network.encoder.state_dict()
    assert said == [f"encoder: {len(encoder)} tensors loaded; not needed: fc.bias, fc.weight"]
    assert all(torch.equal(tensor, published[name]) for name, tensor in encoder.items())


def test_a_restored_run_reads_no_weights_of_the_backbone(resnet20_file: Path) -> None:
    planned = plan(name="unet", encoder="resnet20", backbone_weights=str(resnet20_file))
    resnet20_file.unlink()

    build_planned_model(
        planned,
        num_classes=3,
        device=torch.device("cpu"),
        registry=default_registry(),
        message=pytest.fail,
        restored=True,
    )


def test_images_are_normalised_as_the_backbones_weights_want_it(resnet20_file: Path) -> None:
    by_name = plan(name="unet", encoder="resnet34", backbone_weights="imagenet1k_v1").input
    by_file = plan(name="unet", encoder="resnet20", backbone_weights=str(resnet20_file)).input
    fresh = plan(name="unet", encoder="resnet34").input

    assert (by_name.mean, by_name.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert by_file.mean == (0.4914, 0.4822, 0.4465)
    assert (fresh.mean, fresh.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_file_of_the_backbones_weights_is_found_again_from_anywhere(
    resnet20_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(resnet20_file.parent)

    planned = plan(name="unet", encoder="resnet20", backbone_weights=resnet20_file.name)

    assert planned.config.model.backbone_weights == str(resnet20_file)


@pytest.mark.parametrize(
    ("model", "cause", "cure"),
    [
        ({"name": "unet", "backbone_weights": "x"}, "built on no backbone", "model.encoder="),
        ({"name": "resnet18", "backbone_weights": "x"}, "built on no backbone", "--weights"),
        (
            {"name": "unet_resnet18", "backbone_weights": "imagenet1k_v1", "weights": "x"},
            "both given",
            "leave one out",
        ),
        (
            {"name": "unet_resnet50", "backbone_weights": "imagenet1k_v3"},
            "weights of resnet50",
            "imagenet1k_v2",
        ),
    ],
)
def test_weights_for_a_backbone_that_cannot_be_are_refused(
    model: dict[str, str], cause: str, cure: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan(**model)

    assert cause in caught.value.cause
    assert cure in caught.value.cure
