"""What a U-Net says of its size and reach: changed beyond its context, an image changes no answer.

The reach is measured along one direction on a strip as narrow as the network allows, with gradients
for perturbations: a row of zeros is a row that no answer depends on.  Positive weights and averages
for maxima keep every path open.
"""

import pytest
import torch
from torch import nn

from zoo.errors import ConfigError
from zoo.structures import Tiling
from zoo_unet.unet import unet, unet_paper


def reach(network: nn.Module, tiling: Tiling, in_channels: int) -> tuple[int, int]:
    """How many px before and behind a part of the image change the answers for that part.

    The part begins at a multiple of the stride and is as short as the network can answer for.
    """
    open_every_path(network.eval().double())
    part_px = tiling.input_px(1) - 2 * tiling.margin_px
    start = (tiling.context_px // tiling.stride + 2) * tiling.stride
    length = tiling.input_px(2 * start + part_px)
    strip = torch.rand(1, in_channels, length, tiling.input_px(1), dtype=torch.float64)
    strip.requires_grad_()

    answers = network(strip)[:, :, start : start + part_px]
    (gradient,) = torch.autograd.grad(answers.abs().sum(), strip)

    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    first = start + tiling.margin_px
    return first - int(rows.min()), int(rows.max()) - (first + part_px - 1)


def open_every_path(network: nn.Module) -> None:
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    for parent in list(network.modules()):
        for name, pool in list(parent.named_children()):
            if isinstance(pool, nn.MaxPool2d):
                mean = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding)
                setattr(parent, name, mean)


def test_the_standard_network_sees_94_px_on_both_sides_and_steps_by_16() -> None:
    network = unet(num_classes=2, width=4)

    assert network.tiling == Tiling(stride=16, context_px=94)
    assert reach(network, network.tiling, 3) == (94, 94)


def test_the_papers_network_sees_its_margin() -> None:
    network = unet_paper(num_classes=2, width=4)

    assert network.tiling.margin_px == 92
    assert network.tiling.input_px(388) == 572
    assert reach(network, network.tiling, 1) == (92, 92)


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "resnet20"])
def test_on_an_encoder_it_sees_as_far_as_it_says(encoder: str) -> None:
    network = unet(num_classes=2, width=2, encoder=encoder)

    before, behind = reach(network, network.tiling, 3)

    assert before == network.tiling.context_px
    assert behind <= network.tiling.context_px


@pytest.mark.parametrize(
    ("network", "in_channels"),
    [(unet(num_classes=2, width=4), 3), (unet_paper(num_classes=2, width=4), 1)],
    ids=["unet", "unet_paper"],
)
def test_another_image_beyond_the_context_changes_no_answer(
    network: nn.Module, in_channels: int
) -> None:
    tiling = network.tiling
    network.eval()
    first, behind = 112 + tiling.margin_px, 128 + tiling.margin_px + tiling.offset_px
    images = torch.rand(2, in_channels, tiling.input_px(240), tiling.input_px(1))
    images[1, :, first - tiling.context_px : behind + tiling.context_px] = images[
        0, :, first - tiling.context_px : behind + tiling.context_px
    ]

    with torch.no_grad():
        answers = network(images)[:, :, 112 : 128 - tiling.offset_px]

    assert torch.equal(answers[0], answers[1])


@pytest.mark.parametrize("options", [{"up": "bilinear"}, {"up": "bilinear", "encoder": "resnet18"}])
def test_corners_on_corners_cannot_be_tiled_and_nothing_else_is_said(options: dict) -> None:
    assert unet(num_classes=2, width=2, **options).tiling is None


def test_the_papers_network_refuses_sizes_at_which_skips_fall_askew() -> None:
    with pytest.raises(ConfigError, match="cannot take 256 px") as caught:
        unet_paper(num_classes=2, width=2)(torch.zeros(1, 1, 572, 256))

    assert "268 px would do, and give logits for 84 px" in caught.value.cure


def test_an_image_smaller_than_the_margins_is_told_the_smallest_that_fits() -> None:
    with pytest.raises(ConfigError) as caught:
        unet_paper(num_classes=2, width=2)(torch.zeros(1, 1, 64, 64))

    assert "188 px would do" in caught.value.cure
