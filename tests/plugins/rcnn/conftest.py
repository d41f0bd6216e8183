"""Small detectors of the whole lineage, and a batch for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo_rcnn.fast_rcnn import fast_rcnn
from zoo_rcnn.faster_rcnn import faster_rcnn, faster_rcnn_fpn
from zoo_rcnn.rcnn import rcnn
from zoo_rcnn.spp_net import spp_net

SMALL = {"num_classes": 3, "backbone": "resnet20", "samples": 16}
SINGLE_MAP = {**SMALL, "stage": "layer3", "head_width": 24}

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "rcnn": lambda: rcnn(**SMALL, region_px=16, context_px=2, chunk=50),
    "spp_net": lambda: spp_net(**SINGLE_MAP),
    "fast_rcnn": lambda: fast_rcnn(**SINGLE_MAP),
    "faster_rcnn": lambda: faster_rcnn(**SINGLE_MAP, proposals_train=100, proposals_test=50),
    "faster_rcnn_fpn": lambda: faster_rcnn_fpn(
        **SMALL,
        stages=("layer2", "layer3"),
        fpn_channels=16,
        head_width=24,
        proposals_train=100,
        proposals_test=50,
    ),
}


@pytest.fixture(params=BUILDERS)
def detector(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return BUILDERS[request.param]()


@pytest.fixture
def images() -> Tensor:
    """Two images of 48 x 64 px and 40 x 50 px."""
    images = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    images[1, :, 40:] = 0
    images[1, :, :, 50:] = 0
    return images


@pytest.fixture
def sizes() -> Tensor:
    return torch.tensor([[48, 64], [40, 50]])


@pytest.fixture
def targets() -> dict[str, Tensor]:
    """Two objects and one, with proposals near and far from them."""
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(2, 40, 2, generator=generator) * 30
    proposals = torch.cat(
        [corners, corners + 4 + torch.rand(2, 40, 2, generator=generator) * 14], dim=2
    )
    proposals[0, 0] = torch.tensor([11.0, 9, 31, 30])
    return {
        "boxes": torch.tensor(
            [
                [[10.0, 10, 30, 30], [35, 5, 60, 40]],
                [[5.0, 5, 25, 35], [0, 0, 0, 0]],
            ]
        ),
        "labels": torch.tensor([[0, 2], [1, -1]]),
        "proposals": proposals,
        "proposal_counts": torch.tensor([40, 30]),
    }
