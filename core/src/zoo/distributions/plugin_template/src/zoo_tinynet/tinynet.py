"""Tinynet: three convolutions, the greatest value of each channel, a linear layer.

Shapes: n images, c channels, h w height and width in px, k classes.
"""

from torch import Tensor, nn


class Tinynet(nn.Module):
    """Images (n, c, h, w) to logits (n, k)."""

    head_parts = ("fc",)

    def __init__(self, *, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.layer1 = _layer(in_channels, width, stride=1)
        self.layer2 = _layer(width, 2 * width, stride=2)
        self.layer3 = _layer(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.fc(self.embed(images))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """The pooled features (n, 4 width)."""
        maps: Tensor = self.layer3(self.layer2(self.layer1(images)))
        return maps.amax(dim=(2, 3))


def tinynet(*, num_classes: int, in_channels: int = 3, width: int = 16) -> Tinynet:
    """Build Tinynet with fresh weights.

    Args:
        num_classes: k.
        in_channels: c.
        width: channels of the first map.
    """
    return Tinynet(num_classes=num_classes, in_channels=in_channels, width=width)


def _layer(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
