"""AngleNet: three convolutions, the map in 4 x 4 cells, a linear layer.

Shapes: n images, c channels, h w height and width in px, k outputs.
"""

from torch import Tensor, nn

_CELLS = 4
"""Along each side.  The mean over the whole map would forget where a hand points."""


class AngleNet(nn.Module):
    """Images (n, c, h, w) to outputs (n, k)."""

    head_parts = ("fc",)

    def __init__(self, *, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.layer1 = _layer(in_channels, width)
        self.layer2 = _layer(width, 2 * width)
        self.layer3 = _layer(2 * width, 4 * width)
        self.pool = nn.AdaptiveAvgPool2d(_CELLS)
        self.fc = nn.Linear(4 * width * _CELLS**2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """The outputs."""
        cells: Tensor = self.pool(self.layer3(self.layer2(self.layer1(images))))
        outputs: Tensor = self.fc(cells.flatten(1))
        return outputs


def anglenet(*, num_classes: int, in_channels: int = 1, width: int = 16) -> AngleNet:
    """Build AngleNet with fresh weights.

    Args:
        num_classes: k, which the task of angles wants to be 2.
        in_channels: c.
        width: channels of the first map.
    """
    return AngleNet(num_classes=num_classes, in_channels=in_channels, width=width)


def _layer(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
