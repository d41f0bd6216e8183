"""A model that keeps the contract, and models that break one promise each."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.structures import Stage


class Honest(nn.Module):
    """Two convolutions, batch norm, dropout and a linear layer."""

    head_parts: ClassVar[tuple[str, ...]] = ("fc",)

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.layer2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(16, num_classes)
        self.backbone_stages = (Stage("layer1", 8, 2), Stage("layer2", 16, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.body(images)))

    def body(self, images: Tensor) -> Tensor:
        return self.layer2(self.layer1(images))

    def pool(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))

    def head(self, features: Tensor) -> Tensor:
        return self.fc(self.dropout(features))

    def stage_maps(self, images: Tensor, out: Collection[str]) -> dict[str, Tensor]:
        fine = self.layer1(images)
        maps = {"layer1": fine} if "layer1" in out else {}
        return maps | {"layer2": self.layer2(fine)} if "layer2" in out else maps


def honest(*, num_classes: int, in_channels: int = 3) -> Honest:
    """The model that keeps the contract."""
    return Honest(num_classes, in_channels)


class Broken(Honest):
    """Answers with NaN."""

    def head(self, features: Tensor) -> Tensor:
        return super().head(features) * math.nan


def not_finite(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Its logits are NaN."""
    return Broken(num_classes, in_channels)


def undocumented(*, num_classes: int, in_channels: int = 3) -> Honest:
    return Honest(num_classes, in_channels)


def untyped_option(*, num_classes: int, in_channels: int = 3, width=8) -> Honest:
    """An option without a type, which takes what it should not."""
    return Honest(num_classes, in_channels)


def takes_any_option(*, num_classes: int, in_channels: int = 3, **options: Any) -> Honest:
    """Swallows what is misspelt."""
    return Honest(num_classes, in_channels)


def ignores_classes(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Ten classes for everybody."""
    return Honest(10, in_channels)


def ignores_channels(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Three channels for everybody."""
    return Honest(num_classes, 3)


class Large(Honest):
    """Takes no images of less than 48 px."""

    def body(self, images: Tensor) -> Tensor:
        if min(images.shape[2:]) < 48:
            raise ValueError("the images are too small")
        return super().body(images)


def needs_large_images(*, num_classes: int, in_channels: int = 3) -> Honest:
    """The images of the default data are too small for it."""
    return Large(num_classes, in_channels)


class Slow(Honest):
    """Takes an image at a time, and no more, unless it is quick."""

    def __init__(self, num_classes: int, in_channels: int, *, quick: bool) -> None:
        super().__init__(num_classes, in_channels)
        self.quick = quick

    def body(self, images: Tensor) -> Tensor:
        if len(images) > 1 and not self.quick:
            raise TimeoutError("a batch takes an hour")
        return super().body(images)


def quick_by_its_recipe(*, num_classes: int, in_channels: int = 3, quick: bool = False) -> Honest:
    """Is made for a cluster, and says how others can do with it."""
    return Slow(num_classes, in_channels, quick=quick)


def grey_or_rgb(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Says which images it does not take."""
    if in_channels not in (1, 3):
        raise ConfigError(f"planted takes grey and RGB images, not {in_channels} channels")
    return Honest(num_classes, in_channels)


class OneSize(nn.Module):
    """A linear layer on all pixels of a 32 px image."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4 * 16 * 16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).relu().flatten(1))


def one_size(*, num_classes: int, in_channels: int = 3) -> OneSize:
    """Takes images of 32 px alone."""
    return OneSize(num_classes, in_channels)


class Squeezing(Honest):
    """Loses the batch's dimension when it is 1."""

    def pool(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3), keepdim=True).squeeze()


def squeezes(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Answers one image with a vector."""
    return Squeezing(num_classes, in_channels)


class Comparing(Honest):
    """Looks at the other images of the batch."""

    def pool(self, maps: Tensor) -> Tensor:
        features = super().pool(maps)
        return features - features.mean(dim=0)


def compares_images(*, num_classes: int, in_channels: int = 3) -> Honest:
    """An image's answer depends on its neighbours."""
    return Comparing(num_classes, in_channels)


class WrongHead(Honest):
    """Names a part that is not its head."""

    head_parts = ("layer2",)


def wrong_head(*, num_classes: int, in_channels: int = 3) -> Honest:
    """``head_parts`` leaves out the linear layer."""
    return WrongHead(num_classes, in_channels)


def wrong_stage(*, num_classes: int, in_channels: int = 3) -> Honest:
    """``backbone_stages`` states other channels."""
    model = Honest(num_classes, in_channels)
    model.backbone_stages = (Stage("layer1", 8, 2), Stage("layer2", 32, 2))
    return model


class Unused(Honest):
    """Has a layer that it never calls."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.forgotten = nn.Linear(16, 16)


def unused_layer(*, num_classes: int, in_channels: int = 3) -> Honest:
    """No gradient reaches one of its layers."""
    return Unused(num_classes, in_channels)


class StochasticDepth(nn.Module):
    """Drops all features of an image, in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand(len(x), 1) > 0.2) if self.training else x


class Dropping(Honest):
    """Skips its features for some images."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.depth = StochasticDepth()

    def pool(self, maps: Tensor) -> Tensor:
        return self.depth(super().pool(maps))


def stochastic_depth(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Differs in training as it may."""
    return Dropping(num_classes, in_channels)


class Doubling(Honest):
    """Computes something else in training."""

    def pool(self, maps: Tensor) -> Tensor:
        return super().pool(maps) * (2.0 if self.training else 1.0)


def doubles_in_training(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Training mode changes more than norms and dropout."""
    return Doubling(num_classes, in_channels)


class Counting(Honest):
    """Counts the batches that it is trained on, in a buffer of the backbone."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.layer1.register_buffer("seen", torch.zeros(()))

    def body(self, images: Tensor) -> Tensor:
        if self.training:
            self.layer1.seen.add_(1)
        return super().body(images)


def moves_though_frozen(*, num_classes: int, in_channels: int = 3) -> Honest:
    """A buffer of the backbone moves although that is frozen."""
    return Counting(num_classes, in_channels)


class _Backwards(torch.autograd.Function):
    """The identity, with the gradient's sign turned."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


class Unlearning(Honest):
    """Climbs where it should descend."""

    def head(self, features: Tensor) -> Tensor:
        logits = super().head(features)
        return _Backwards.apply(logits) if self.training else logits


def unlearns(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Training raises the loss."""
    return Unlearning(num_classes, in_channels)


class Remembering(Honest):
    """Scales by how often it was trained, and does not keep the number."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.calls = 0

    def pool(self, maps: Tensor) -> Tensor:
        features = super().pool(maps)
        if self.training:
            features = features * (1 + 0.01 * self.calls)
            self.calls += 1
        return features


def remembers_outside_its_state(*, num_classes: int, in_channels: int = 3) -> Honest:
    """What a resume needs is not in the state dict."""
    return Remembering(num_classes, in_channels)


class Noisy(Honest):
    """Adds noise, also in evaluation."""

    def pool(self, maps: Tensor) -> Tensor:
        return super().pool(maps) + torch.rand(())


def draws_in_evaluation(*, num_classes: int, in_channels: int = 3) -> Honest:
    """No two answers are alike."""
    return Noisy(num_classes, in_channels)


class Watching(Honest):
    """Counts the batches that it is scored on."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.register_buffer("scored", torch.zeros(()))

    def pool(self, maps: Tensor) -> Tensor:
        if not self.training:
            self.scored.add_(1)
        return super().pool(maps)


def changes_in_evaluation(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Being scored leaves a trace."""
    return Watching(num_classes, in_channels)


def unseeded(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Fresh weights come from somewhere else than the global generators."""
    model = Honest(num_classes, in_channels)
    generator = torch.Generator().manual_seed(secrets.randbits(60))
    nn.init.normal_(model.fc.weight, std=0.1, generator=generator)
    return model


class Hiding(Honest):
    """Keeps random weights in a plain attribute."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.hidden = torch.rand(16)

    def pool(self, maps: Tensor) -> Tensor:
        return super().pool(maps) * self.hidden


def hides_weights(*, num_classes: int, in_channels: int = 3) -> Honest:
    """The state dict is not all that answers depend on."""
    return Hiding(num_classes, in_channels)


class Viewing(Honest):
    """Takes the memory of a map to lie channel after channel."""

    def pool(self, maps: Tensor) -> Tensor:
        n, c = maps.shape[:2]
        return maps.view(n, -1).reshape(n, c, -1).amax(dim=2)


def views_memory(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Cannot be laid out with the channels last."""
    return Viewing(num_classes, in_channels)


class Cancelling(Honest):
    """Adds a large number and takes it away again."""

    def head(self, features: Tensor) -> Tensor:
        return super().head(features) + 100 - 100


def cancels_digits(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Has no digits left in bfloat16."""
    return Cancelling(num_classes, in_channels)


class Disguised(Honest):
    """Computes something else when it is compiled."""

    def head(self, features: Tensor) -> Tensor:
        compiling = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        return super().head(features) * (2 if compiling else 1)


def differs_compiled(*, num_classes: int, in_channels: int = 3) -> Honest:
    """Compiling changes the answers."""
    return Disguised(num_classes, in_channels)


class Branching(Honest):
    """Takes one of two ways by what it sees."""

    def pool(self, maps: Tensor) -> Tensor:
        features = super().pool(maps)
        return features * 2 if features.sum() > 0 else features


def branches_on_values(*, num_classes: int, in_channels: int = 3) -> Honest:
    """No program can be exported."""
    return Branching(num_classes, in_channels)
