"""The network itself: variants, stems, shortcuts, stochastic depth, features and refusals."""

import doctest

import pytest
import torch
from torch import nn

import zoo_resnet.resnet
from zoo.errors import ConfigError
from zoo.models import FrozenBatchNorm2d
from zoo_resnet.resnet import (
    VARIANTS,
    BasicBlock,
    BlockSpec,
    Bottleneck,
    PadShortcut,
    ResNet,
    resnet,
    stochastic_depth,
)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18", 18),
        ("resnet34", 34),
        ("resnet50", 50),
        ("resnet101", 101),
        ("resnet152", 152),
        ("resnet20", 20),
        ("resnet32", 32),
        ("resnet44", 44),
        ("resnet56", 56),
        ("resnet110", 110),
    ],
)
def test_a_variant_has_as_many_weighted_layers_as_its_name_says(name: str, layers: int) -> None:
    variant = VARIANTS[name]
    per_block = 2 if variant.block is BasicBlock else 3

    assert per_block * sum(variant.depths) + 2 == layers


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20"])
def test_logits_and_features_are_the_parts_of_forward(name: str) -> None:
    network = resnet(name, num_classes=5).eval()
    images = torch.rand(2, 3, 32, 32)

    logits, features = network.logits_and_features(images)

    assert torch.equal(logits, network(images))
    assert torch.equal(features, network.embed(images))
    assert torch.equal(logits, network.fc(features))
    assert features.shape == (2, network.fc.in_features)


@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        ("resnet18", {}, [(64, 32), (64, 16), (128, 8), (256, 4), (512, 2)]),
        ("resnet50", {}, [(64, 32), (256, 16), (512, 8), (1024, 4), (2048, 2)]),
        ("resnet34", {"stem": "cifar"}, [(64, 64), (64, 64), (128, 32), (256, 16), (512, 8)]),
        ("resnet20", {}, [(16, 64), (16, 64), (32, 32), (64, 16)]),
        ("resnet20", {"stem": "imagenet"}, [(16, 32), (16, 16), (32, 8), (64, 4)]),
    ],
)
def test_stage_maps_have_the_channels_and_strides_known_before(
    name: str, options: dict, shapes: list
) -> None:
    network = resnet(name, num_classes=2, **options).eval()
    stages = network.backbone_stages

    with torch.no_grad():
        maps = network.stage_maps(torch.zeros(1, 3, 64, 64), [stage.name for stage in stages])

    assert list(maps) == [stage.name for stage in stages]
    assert [tuple(found.shape[1:]) for found in maps.values()] == [(c, s, s) for c, s in shapes]
    assert [(stage.channels, 64 // stage.stride) for stage in stages] == shapes


def test_stage_maps_go_no_further_than_the_last_that_is_asked_for() -> None:
    network = resnet("resnet18", num_classes=2)
    network.layer3.register_forward_hook(lambda *_: pytest.fail("layer3 ran"))

    maps = network.stage_maps(torch.zeros(2, 3, 32, 32), ("layer2", "stem"))

    assert list(maps) == ["stem", "layer2"]


def test_odd_sizes_are_taken_by_the_stem_for_photos() -> None:
    network = resnet("resnet18", num_classes=2).eval()

    assert network(torch.zeros(1, 3, 37, 61)).shape == (1, 2)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20"])
def test_zero_init_residual_starts_every_block_as_the_identity(name: str) -> None:
    network = resnet(name, num_classes=2, zero_init_residual=True)
    blocks = [m for m in network.modules() if isinstance(m, BasicBlock | Bottleneck)]
    plain = [block for block in blocks if block.downsample is None]
    x = torch.rand(2, plain[0].conv1.in_channels, 4, 4)

    assert len(blocks) == sum(VARIANTS[name].depths)
    assert all(block.last_norm.weight.eq(0).all() for block in blocks)
    assert torch.equal(plain[0](x), x)


def test_the_cifar_nets_have_shortcuts_without_parameters() -> None:
    network = resnet("resnet20", num_classes=10)

    names = [name for name, _ in network.named_parameters() if "downsample" in name]
    pads = [module for module in network.modules() if isinstance(module, PadShortcut)]

    assert names == []
    assert len(pads) == 2


def test_a_pad_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    x = torch.rand(2, 3, 5, 6)

    y = PadShortcut(3, 7, stride=2)(x)

    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert torch.equal(y[:, 3:], torch.zeros(2, 4, 3, 3))


def test_stochastic_depth_grows_linearly_from_the_first_block_to_the_last() -> None:
    network = resnet("resnet34", num_classes=2, drop_path=0.3)

    rates = [m.drop_rate for m in network.modules() if isinstance(m, BasicBlock)]

    assert rates == pytest.approx([0.3 * i / 15 for i in range(16)])


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3, 3)

    y = stochastic_depth(x, 0.25, training=True)

    kept = y[:, 0, 0, 0] > 0
    assert torch.equal(y, torch.where(kept, 1 / 0.75, 0.0).reshape(-1, 1, 1, 1).expand_as(y))
    assert kept.float().mean() == pytest.approx(0.75, abs=0.03)


def test_stochastic_depth_changes_nothing_in_evaluation() -> None:
    plain = resnet("resnet20", num_classes=2).eval()
    dropping = resnet("resnet20", num_classes=2, drop_path=0.5).eval()
    dropping.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 32, 32)

    assert torch.equal(dropping(images), plain(images))


def test_frozen_norms_compute_what_batch_norms_do_in_evaluation() -> None:
    network = resnet("resnet20", num_classes=3)
    network(torch.rand(8, 3, 32, 32))
    frozen = resnet("resnet20", num_classes=3, norm="frozen")
    frozen.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 32, 32)

    torch.testing.assert_close(frozen.train()(images), network.eval()(images))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    assert any(isinstance(module, FrozenBatchNorm2d) for module in frozen.modules())


def test_the_linear_layer_starts_with_the_spread_that_is_asked_for() -> None:
    fc = resnet("resnet20", num_classes=500, fc_std=0.01).fc

    assert fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert fc.bias.eq(0).all()


@pytest.mark.parametrize("depths", [(2, 2, 2), (2, 2, 2, 2, 2), (), (2, 2, 2, 0)])
def test_a_wrong_number_of_stages_is_refused(depths: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=f"{len(depths)} depths .* for 4 stages"):
        ResNet(BasicBlock, depths, num_classes=2)


def test_any_number_of_stages_can_be_built() -> None:
    network = ResNet(Bottleneck, (1, 1, 1, 1, 1), channels=(8, 8, 16, 16, 32), num_classes=2)

    assert [stage.stride for stage in network.backbone_stages] == [2, 4, 8, 16, 32, 64]
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 2)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_drop_rate_that_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="drop rate"):
        resnet("resnet20", num_classes=2, drop_path=rate)


def test_groups_of_a_basic_block_are_refused() -> None:
    with pytest.raises(ConfigError, match="no groups"):
        ResNet(BasicBlock, (1,), channels=(8,), num_classes=2, spec=BlockSpec(groups=2))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(zoo_resnet.resnet).failed == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [("resnet18", {}), ("resnet50", {}), ("resnet20", {}), ("resnet34", {"stem": "cifar"})],
)
def test_a_stage_sees_as_far_as_it_says(name: str, options: dict) -> None:
    network = resnet(name, num_classes=2, **options).double().eval()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1)  # no ReLU is shut
    for part, pool in list(network.named_children()):
        if isinstance(pool, nn.MaxPool2d):  # nor a path to a pixel that is no maximum
            setattr(network, part, nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding))
    last = network.backbone_stages[-1]
    row = last.context_px // last.stride + 1
    strip = torch.rand(1, 3, (2 * row + 1) * last.stride, last.stride, dtype=torch.float64)
    strip.requires_grad_()

    network.stage_maps(strip, [last.name])[last.name][:, :, row].sum().backward()

    seen = strip.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert row * last.stride - int(seen.min()) == last.context_px
    assert int(seen.max()) - ((row + 1) * last.stride - 1) <= last.context_px
