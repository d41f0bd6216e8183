"""Small networks that answer for each pixel."""

import pytest
import torch
from torch import nn

from zoo.structures import Tiling


class Hourglass(nn.Module):
    """Down to a quarter and up again: same padding, stride 4."""

    tiling = Tiling(stride=4, context_px=14)

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 6, 3, padding=1)
        self.down2 = nn.Conv2d(6, 6, 3, padding=1)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(6, 6, 2, 2)
        self.up1 = nn.ConvTranspose2d(6, 6, 2, 2)
        self.head = nn.Conv2d(12, num_classes, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        fine = self.down1(images).relu()
        coarse = self.down2(nn.functional.max_pool2d(fine, 2)).relu()
        coarsest = self.middle(nn.functional.max_pool2d(coarse, 2)).relu()
        up = self.up1(self.up2(coarsest).relu() + coarse)
        return self.head(torch.cat([up, fine], 1))


class Valid(nn.Module):
    """Valid convolutions around one pooling: sizes 2 n, the answer 12 px smaller than the image."""

    tiling = Tiling(stride=2, context_px=6, margin_px=6, offset_px=0, least_px=14)

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.middle = nn.Conv2d(6, 6, 3)
        self.up = nn.ConvTranspose2d(6, 6, 2, 2)
        self.last = nn.Conv2d(6, num_classes, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        coarse = self.middle(nn.functional.max_pool2d(self.first(images).relu(), 2)).relu()
        return self.last(self.up(coarse))


def dense(kind: type[nn.Module], **options: int) -> nn.Module:
    """The same weights again and again, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(**options).eval().requires_grad_(requires_grad=False)


@pytest.fixture
def hourglass() -> nn.Module:
    return dense(Hourglass)


@pytest.fixture
def valid() -> nn.Module:
    return dense(Valid)
