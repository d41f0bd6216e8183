"""U-Net: convolutional networks for biomedical image segmentation (Ronneberger 2015).

arXiv:1505.04597.  The contracting path says what is on the image: double convolutions, and poolings
that halve height and width while the channels double.  The expanding path says where: it doubles
the size again, and at each level has the map of the way down beside it (the skip).

The network, and two builders of it: ``unet_paper`` is the network as drawn in 2015, ``unet`` what
most people mean by the name.  They differ in the style of their convolutions; the parts are in
``parts.py``.  Names of parameters are those of milesial/Pytorch-UNet, so that weights in its layout
load unchanged.

Shapes: n images, c channels, h w height and width in px, k classes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.models import build_backbone
from zoo.structures import Tiling
from zoo_unet.encoder_unet import EncoderUNet
from zoo_unet.parts import (
    PAPER,
    TODAY,
    DoubleConv,
    Down,
    Style,
    Up,
    UpMode,
    check_width,
    initialise,
)

TILING = {
    TODAY: Tiling(stride=16, context_px=94),
    PAPER: Tiling(stride=16, context_px=92, margin_px=92, offset_px=12, least_px=188),
}
"""Four poolings make steps of 16 px.  A valid convolution loses one px of its level on each side,
92 px in all.  Where sizes are kept, what is seen comes to whole px of each level, and to 94 px."""


class UNet(nn.Module):
    """Figure 1: four steps down, four steps up, and a 1x1 convolution to the classes.

    Attributes:
        tiling: how images are padded and cut; None where bilinear interpolation puts corners on
            corners, so that its weights depend on the size of the map and no tile equals the whole.
        head_parts: names of the submodules that depend on the classes.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("outc",)

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        up: UpMode = "transposed",
        style: Style = TODAY,
        dropout: float = 0.0,
    ) -> None:
        """Build and initialise.

        Args:
            num_classes: channels of the logits.
            in_channels: of the images.
            width: channels of the finest level; each coarser one has twice as many.
            up: how the expanding path doubles the size.
            style: of the convolutions.
            dropout: rate of dropout at the end of the contracting path.

        Raises:
            ConfigError: the width or the rate is none.
        """
        super().__init__()
        check_width(width)
        if not 0 <= dropout < 1:
            raise ConfigError(f"model.dropout is {dropout}; a rate is in [0, 1)")
        c1, c2, c3, c4, c5 = (width * 2**level for level in range(5))
        self.inc = DoubleConv(in_channels, c1, style=style)
        self.down1 = Down(c1, c2, style=style)
        self.down2 = Down(c2, c3, style=style)
        self.down3 = Down(c3, c4, style=style)
        # Where no transposed convolution halves the channels, a level ends with half of them.
        d2, d3, d4, d5 = (c2, c3, c4, c5) if up == "transposed" else (c1, c2, c3, c4)
        self.down4 = Down(c4, d5, style=style)
        self.dropout = nn.Dropout(dropout)
        self.up1 = Up(d5, c4, d4, up=up, mid_channels=c4, style=style)
        self.up2 = Up(d4, c3, d3, up=up, mid_channels=c3, style=style)
        self.up3 = Up(d3, c2, d2, up=up, mid_channels=c2, style=style)
        self.up4 = Up(d2, c1, c1, up=up, style=style)
        self.outc = nn.Sequential(OrderedDict(conv=nn.Conv2d(c1, num_classes, kernel_size=1)))
        self.tiling = None if up == "bilinear" else TILING[style]
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w), normalised -> logits (n, k, h, w), or 184 px less of each."""
        if self.tiling is not None:
            _check_size(images.shape[-2:], self.tiling)
        maps = [self.inc(images)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            maps.append(down(maps[-1]))
        x = self.dropout(maps.pop())
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, maps.pop())
        logits: Tensor = self.outc(x)
        return logits


def _check_size(size: tuple[int, ...], tiling: Tiling) -> None:
    """Valid convolutions leave a map with an even size at each pooling, or skips fall askew.

    Raises:
        ConfigError: the paper's network cannot take an image of this size.
    """
    if tiling.margin_px == 0:
        return
    for px in size:
        fits = tiling.input_px(px - 2 * tiling.margin_px)
        if px != fits:
            raise ConfigError(
                f"a U-Net of valid convolutions cannot take {px} px",
                f"{fits} px would do, and give logits for {fits - 2 * tiling.margin_px} px.",
            )


# --- builders --------------------------------------------------------------------------------


def unet_paper(
    *, num_classes: int, in_channels: int = 1, width: int = 64, dropout: float = 0.0
) -> UNet:
    """The network of figure 1: 572 x 572 px in, logits for the 388 x 388 in the middle out.

    >>> import torch
    >>> unet_paper(num_classes=2, width=2)(torch.zeros(1, 1, 572, 572)).shape
    torch.Size([1, 2, 388, 388])

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the images.
        width: channels of the finest level; each coarser one has twice as many.
        dropout: rate at the end of the contracting path; the paper has one and does not say which.
    """
    return UNet(
        num_classes=num_classes,
        in_channels=in_channels,
        width=width,
        style=PAPER,
        dropout=dropout,
    )


def unet(
    *,
    num_classes: int,
    in_channels: int = 3,
    width: int | None = None,
    up: UpMode = "transposed",
    encoder: str | None = None,
) -> UNet | EncoderUNet:
    """The U-Net of same padding and batch norm, on its own contracting path or on a backbone.

    >>> import torch
    >>> unet(num_classes=2, width=2)(torch.zeros(1, 3, 250, 333)).shape
    torch.Size([1, 2, 250, 333])

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the images.
        width: channels of the finest level; each coarser one has twice as many.  Default: 64, on an
            encoder 16.
        up: "transposed" convolutions (learned), or "bilinear" interpolation (half the parameters).
        encoder: a model of the registry that serves as the contracting path ("resnet34").
    """
    if encoder is None:
        width = 64 if width is None else width
        return UNet(num_classes=num_classes, in_channels=in_channels, width=width, up=up)
    width = 16 if width is None else width
    backbone = build_backbone(encoder, in_channels=in_channels, with_stem=True)
    return EncoderUNet(backbone, num_classes=num_classes, width=width, up=up)
