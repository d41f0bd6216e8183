"""The parts of a U-Net: double convolutions, steps down and steps up, and their fresh weights.

Names of submodules are those of milesial/Pytorch-UNet, whose layout published weights have.

Shapes: n images, c channels, h w height and width in px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo_unet.upsampling import BilinearUpsample

UpMode = Literal["transposed", "bilinear"]


@dataclass(frozen=True, slots=True)
class Style:
    """What tells the paper's convolutions from today's.

    Attributes:
        padding: of 3x3 convolutions in px: 0 (valid: the map loses 2) or 1 (it keeps its size).
        batch_norm: behind each convolution, which then has no bias.
    """

    padding: int
    batch_norm: bool


PAPER = Style(padding=0, batch_norm=False)
TODAY = Style(padding=1, batch_norm=True)


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with a ReLU behind it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        mid_channels: int | None = None,
        style: Style = TODAY,
    ) -> None:
        super().__init__()
        mid_channels = out_channels if mid_channels is None else mid_channels
        self.double_conv = nn.Sequential(
            *conv_relu(in_channels, mid_channels, style),
            *conv_relu(mid_channels, out_channels, style),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, out_channels, h, w), or 4 px less of each where it is valid."""
        y: Tensor = self.double_conv(x)
        return y


def conv_relu(in_channels: int, out_channels: int, style: Style) -> list[nn.Module]:
    """A 3x3 convolution, batch norm where the style has it, and a ReLU."""
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        padding=style.padding,
        bias=not style.batch_norm,
    )
    norm = [nn.BatchNorm2d(out_channels)] if style.batch_norm else []
    return [conv, *norm, nn.ReLU(inplace=True)]


class Down(nn.Module):
    """2x2 max-pooling, then a double convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, style: Style = TODAY) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(kernel_size=2), DoubleConv(in_channels, out_channels, style=style)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, out_channels, h / 2, w / 2)."""
        y: Tensor = self.maxpool_conv(x)
        return y


class Up(nn.Module):
    """Twice the size, the skip beside it, and a double convolution over both."""

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        up: UpMode = "transposed",
        mid_channels: int | None = None,
        style: Style = TODAY,
    ) -> None:
        """Build.

        Args:
            in_channels: of the coarser map.
            skip_channels: of the finer one from the way down; 0 where there is none.
            out_channels: of what comes out.
            up: "transposed" (2x2 transposed convolution to ``out_channels``) or "bilinear" (no
                parameters, the channels stay).
            mid_channels: between the two convolutions; default: ``out_channels``.
            style: of the convolutions; a valid one crops the skip, another pads the coarser map.
        """
        super().__init__()
        self.crops_skip = style.padding == 0
        if up == "transposed":
            self.up: nn.Module = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
            in_channels = out_channels
        else:
            self.up = BilinearUpsample()
        self.conv = DoubleConv(
            skip_channels + in_channels, out_channels, mid_channels=mid_channels, style=style
        )

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(n, c, h, w) and (n, skip_channels, 2h, 2w) -> (n, out_channels, 2h, 2w)."""
        x = self.up(x)
        if skip is not None:
            if self.crops_skip:
                skip = resize_canvas(skip, x.shape[-2:])
            x = torch.cat([skip, resize_canvas(x, skip.shape[-2:])], dim=1)
        y: Tensor = self.conv(x)
        return y


def resize_canvas(x: Tensor, size: torch.Size) -> Tensor:
    """Crop a map, or pad it with zeros, to height and width; half of it (less) at top and left."""
    if x.shape[-2:] == size:
        return x
    more_h, more_w = size[0] - x.shape[-2], size[1] - x.shape[-1]
    top, left = int(more_h / 2), int(more_w / 2)
    return nn.functional.pad(x, [left, more_w - left, top, more_h - top])


def initialise(network: nn.Module) -> None:
    """Normal weights of variance 2 / N, where N inputs meet in a neuron (section 3); no biases.

    The 2x2 fields of a transposed convolution do not overlap: each of its neurons sees one pixel.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            field = 1 if isinstance(module, nn.ConvTranspose2d) else math.prod(module.kernel_size)
            nn.init.normal_(module.weight, std=math.sqrt(2 / (module.in_channels * field)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_width(width: int) -> None:
    """Refuse a network without channels.

    Raises:
        ConfigError: the width is below 1.
    """
    if width < 1:
        raise ConfigError(f"model.width is {width}; the finest level has at least one channel")
