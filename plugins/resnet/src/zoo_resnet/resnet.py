"""Deep residual learning for image recognition (He et al. 2015, arXiv:1512.03385).

A residual block learns what to add to its input: ``y = F(x) + shortcut(x)``.  Stages of such blocks
halve the height and width and double the channels; the mean over the last map is the feature ``h``.

Three levels, from the bottom: the parts (shortcuts, blocks), the network, and the variants, a line
of numbers each.  Names of parameters and the order in which they are initialised are torchvision's,
so that its weights load unchanged and one seed gives the same fresh weights.

Shapes: n images, c channels, h w height and width in px, k classes, d features.

Differs from the paper: the stride of a bottleneck lies on its 3x3 convolution ("v1.5": 0.5 % top-1
better on ImageNet), as in torchvision and Goyal 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.models import FrozenBatchNorm2d
from zoo.structures import Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Stem = Literal["imagenet", "cifar"]
Shortcut = Literal["projection", "pad"]
Norm = Literal["batch", "frozen"]
NormLayer = type[nn.BatchNorm2d] | type[FrozenBatchNorm2d]
NORMS: dict[Norm, NormLayer] = {"batch": nn.BatchNorm2d, "frozen": FrozenBatchNorm2d}

# --- parts -----------------------------------------------------------------------------------


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution; the batch norm behind it has the bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps height and width where its stride is 1."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        stride=stride,
        padding=1,
        groups=groups,
        bias=False,
    )


class PadShortcut(nn.Module):
    """Option A of section 4.1: every ``stride``-th pixel, new channels zero; no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c + new_channels, ceil(h / stride), ceil(w / stride))."""
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.new_channels))


def stochastic_depth(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth (Huang 2016, arXiv:1603.09382): zero whole samples of a residual branch.

    Args:
        x: (n, c, h, w), what the branch adds.
        rate: probability of zero; the samples that stay grow by ``1 / (1 - rate)``, so that the
            mean is unchanged and evaluation needs no correction.
        training: nothing is dropped in evaluation.
    """
    if not training or rate == 0:
        return x
    keep = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(1 - rate)
    return x * keep.div_(1 - rate)


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """What the blocks of one network share.

    Attributes:
        norm: behind each convolution.
        shortcut: where the shape changes: a 1x1 convolution (option B), or zeros (option A).
        groups: of a bottleneck's 3x3 convolution (ResNeXt).
        width_per_group: channels of each group in the first stage (Wide ResNet).
        drop_rate: of stochastic depth; in a network's spec that of the last block.
    """

    norm: NormLayer = nn.BatchNorm2d
    shortcut: Shortcut = "projection"
    groups: int = 1
    width_per_group: int = 64
    drop_rate: float = 0.0


def make_shortcut(
    in_channels: int, out_channels: int, stride: int, spec: BlockSpec
) -> nn.Module | None:
    """The shortcut of a block that changes the shape; None where it is the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    if spec.shortcut == "pad":
        return PadShortcut(in_channels, out_channels, stride)
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), spec.norm(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (figure 5, left)."""

    expansion: ClassVar[int] = 1
    convs3x3: ClassVar[int] = 2

    def __init__(self, in_channels: int, channels: int, stride: int, spec: BlockSpec) -> None:
        super().__init__()
        if spec.groups != 1 or spec.width_per_group != 64:
            raise ConfigError("a basic block has no groups and no width of its own")
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = spec.norm(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = spec.norm(channels)
        self.downsample = make_shortcut(in_channels, channels, stride, spec)
        self.drop_rate = spec.drop_rate

    @property
    def last_norm(self) -> nn.BatchNorm2d | FrozenBatchNorm2d:
        """The norm that ends the residual branch."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, channels, h / stride, w / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = stochastic_depth(out, self.drop_rate, self.training)
        y: Tensor = self.relu(out.add_(identity))
        return y


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the channels (figure 5, right).

    Wide ResNet (arXiv:1605.07146) widens the 3x3; ResNeXt (arXiv:1611.05431) splits it in groups.
    """

    expansion: ClassVar[int] = 4
    convs3x3: ClassVar[int] = 1

    def __init__(self, in_channels: int, channels: int, stride: int, spec: BlockSpec) -> None:
        super().__init__()
        width = channels * spec.width_per_group // 64 * spec.groups
        out_channels = channels * self.expansion
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = spec.norm(width)
        self.conv2 = conv3x3(width, width, stride, spec.groups)
        self.bn2 = spec.norm(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = spec.norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_channels, out_channels, stride, spec)
        self.drop_rate = spec.drop_rate

    @property
    def last_norm(self) -> nn.BatchNorm2d | FrozenBatchNorm2d:
        """The norm that ends the residual branch."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, 4 * channels, h / stride, w / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out = stochastic_depth(out, self.drop_rate, self.training)
        y: Tensor = self.relu(out.add_(identity))
        return y


Block = type[BasicBlock] | type[Bottleneck]


def make_stage(
    block: Block, in_channels: int, channels: int, stride: int, specs: Sequence[BlockSpec]
) -> nn.Sequential:
    """A block for each of ``specs``; the first changes channels and size, the others keep both."""
    out_channels = channels * block.expansion
    first = block(in_channels, channels, stride, specs[0])
    return nn.Sequential(first, *(block(out_channels, channels, 1, spec) for spec in specs[1:]))


# --- network ---------------------------------------------------------------------------------


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over the last map, and one linear layer.

    Attributes:
        backbone_stages: name, channels and stride of each map that ``stage_maps`` can give.
        head_parts: names of the submodules that a backbone does without.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("avgpool", "fc")

    def __init__(
        self,
        block: Block,
        depths: tuple[int, ...],
        *,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        num_classes: int,
        in_channels: int = 3,
        stem: Stem = "imagenet",
        spec: BlockSpec = BlockSpec(),
        zero_init_residual: bool = False,
    ) -> None:
        """Build and initialise.

        Args:
            block: of every stage.
            depths: blocks in each stage.
            channels: of each stage before ``block.expansion``; the first also of the stem.
            num_classes: of the linear layer.
            in_channels: of the images.
            stem: "imagenet" (7x7 stride 2, then max-pool) or "cifar" (3x3 stride 1).
            spec: what the blocks share; its drop rate is reached linearly, from 0 at the first.
            zero_init_residual: start every block as the identity (Goyal 2017, section 5.1).

        Raises:
            ConfigError: the numbers of depths and channels differ, or the drop rate is no rate.
        """
        super().__init__()
        _check_numbers(depths, channels, spec.drop_rate)
        width = channels[0]
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            stem_stride, stride, stem_context_px, context_px = 2, 4, 3, 5
        else:
            self.conv1 = conv3x3(in_channels, width)
            self.maxpool = nn.Identity()
            stem_stride, stride, stem_context_px, context_px = 1, 1, 1, 1
        self.bn1 = spec.norm(width)
        self.relu = nn.ReLU(inplace=True)

        stages = [Stage("stem", width, stem_stride, stem_context_px)]
        last = max(sum(depths) - 1, 1)
        specs = iter([replace(spec, drop_rate=spec.drop_rate * i / last) for i in range(last + 1)])
        for index, (depth, stage_channels) in enumerate(zip(depths, channels, strict=True)):
            stage_stride = 1 if index == 0 else 2
            stage_specs = list(islice(specs, depth))
            layer = make_stage(block, width, stage_channels, stage_stride, stage_specs)
            self.add_module(f"layer{index + 1}", layer)
            width = stage_channels * block.expansion
            # A 3x3 convolution sees one px further: of the map before it, for the first.
            context_px += stride + (depth * block.convs3x3 - 1) * stride * stage_stride
            stride *= stage_stride
            stages.append(Stage(f"layer{index + 1}", width, stride, context_px))
        self.backbone_stages = tuple(stages)

        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width, num_classes)
        self.initialise(zero_init_residual=zero_init_residual)

    def initialise(self, *, zero_init_residual: bool) -> None:
        """He 2015b (arXiv:1502.01852) for convolutions; the linear layer keeps torch's own."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                nn.init.zeros_(module.last_norm.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w), normalised -> logits (n, k)."""
        logits: Tensor = self.fc(self.embed(images))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) -> the pooled feature h (n, d)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in self.backbone_stages[1:]:
            x = getattr(self, stage.name)(x)
        h: Tensor = self.avgpool(x)
        return h.flatten(1)

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, c, h, w) -> logits (n, k) and the pooled feature h (n, d)."""
        h = self.embed(images)
        return self.fc(h), h

    def stage_maps(self, images: Tensor, out: Collection[str]) -> dict[str, Tensor]:
        """The maps of the stages named in ``out``, computed no further than the last of them.

        Args:
            images: (n, c, h, w), normalised.
            out: names from ``backbone_stages``.

        Returns:
            (n, channels, ceil(h / stride), ceil(w / stride)) for each name, the finest first.
        """
        maps = {}
        x = self.relu(self.bn1(self.conv1(images)))
        if "stem" in out:
            maps["stem"] = x
        x = self.maxpool(x)
        for stage in self.backbone_stages[1:]:
            if len(maps) == len(out):
                break
            x = getattr(self, stage.name)(x)
            if stage.name in out:
                maps[stage.name] = x
        return maps


def _check_numbers(depths: tuple[int, ...], channels: tuple[int, ...], drop_rate: float) -> None:
    if len(depths) != len(channels) or not depths or min(depths) < 1:
        raise ConfigError(
            f"{len(depths)} depths {depths} for {len(channels)} stages of {channels} channels",
            "Give one depth, at least 1, and one number of channels for each stage.",
        )
    if not 0 <= drop_rate < 1:
        raise ConfigError(f"a drop rate of {drop_rate} is not in [0, 1)")


# --- variants --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variant:
    """The numbers that make one network of the family."""

    block: Block
    depths: tuple[int, ...]
    channels: tuple[int, ...] = (64, 128, 256, 512)
    stem: Stem = "imagenet"
    shortcut: Shortcut = "projection"
    groups: int = 1
    width_per_group: int = 64


def cifar(n: int) -> Variant:
    """Section 4.2: 6n + 2 layers in three stages, with parameter-free shortcuts."""
    return Variant(BasicBlock, (n, n, n), (16, 32, 64), stem="cifar", shortcut="pad")


VARIANTS = {
    # Table 1
    "resnet18": Variant(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Variant(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Variant(Bottleneck, (3, 4, 6, 3)),
    "resnet101": Variant(Bottleneck, (3, 4, 23, 3)),
    "resnet152": Variant(Bottleneck, (3, 8, 36, 3)),
    # arXiv:1605.07146 and arXiv:1611.05431
    "wide_resnet50_2": Variant(Bottleneck, (3, 4, 6, 3), width_per_group=128),
    "resnext50_32x4d": Variant(Bottleneck, (3, 4, 6, 3), groups=32, width_per_group=4),
    # Table 6
    "resnet20": cifar(3),
    "resnet32": cifar(5),
    "resnet44": cifar(7),
    "resnet56": cifar(9),
    "resnet110": cifar(18),
}


def resnet(
    variant: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    stem: Stem | None = None,
    zero_init_residual: bool = False,
    fc_std: float | None = None,
    drop_path: float = 0.0,
    norm: Norm = "batch",
) -> ResNet:
    """A network of the family by name.

    >>> import torch
    >>> resnet("resnet20", num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])

    Args:
        variant: a key of ``VARIANTS``.
        num_classes: classes that the logits are for.
        in_channels: channels of the images.
        stem: "imagenet" for photos, "cifar" for images of some 32 px; default: the variant's.
        zero_init_residual: start every block as the identity (Goyal 2017, arXiv:1706.02677).
        fc_std: standard deviation of the linear layer's weights (Goyal 2017: 0.01); default:
            torch's own uniform distribution.
        drop_path: stochastic depth's rate at the last block, linear from 0 at the first.
        norm: "frozen" for batch norms whose statistics and factors are constants.
    """
    numbers = VARIANTS[variant]
    network = ResNet(
        numbers.block,
        numbers.depths,
        channels=numbers.channels,
        num_classes=num_classes,
        in_channels=in_channels,
        stem=numbers.stem if stem is None else stem,
        spec=BlockSpec(
            norm=NORMS[norm],
            shortcut=numbers.shortcut,
            groups=numbers.groups,
            width_per_group=numbers.width_per_group,
            drop_rate=drop_path,
        ),
        zero_init_residual=zero_init_residual,
    )
    if fc_std is not None:
        nn.init.normal_(network.fc.weight, std=fc_std)
        nn.init.zeros_(network.fc.bias)
    return network
