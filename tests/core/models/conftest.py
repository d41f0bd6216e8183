"""A registry of two small models that need no plugin."""

from collections.abc import Callable, Collection
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from zoo.cards import InputSpec, ModelCard
from zoo.errors import UnknownNameError
from zoo.registry import Entry
from zoo.structures import Backbone, Stage


class Tiny(nn.Module):
    """A stem and three stages; the last of them a sequence of two convolutions."""

    head_parts = ("head",)

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width)
        )
        self.fine = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width, eps=0.1))
        self.middle = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.coarse = nn.Sequential(
            nn.Conv2d(2 * width, 4 * width, 3, 2, 1, groups=2), nn.Conv2d(4 * width, 4 * width, 1)
        )
        self.head = nn.Linear(4 * width, num_classes)
        widths = (width, width, 2 * width, 4 * width)
        names = ("stem", "fine", "middle", "coarse")
        self.backbone_stages = tuple(
            Stage(name, channels, 2**i)
            for i, (name, channels) in enumerate(zip(names, widths, strict=True))
        )

    def stage_maps(self, images: Tensor, out: Collection[str]) -> dict[str, Tensor]:
        maps = {}
        for stage in self.backbone_stages:
            images = self.get_submodule(stage.name)(images)
            if stage.name in out:
                maps[stage.name] = images
            if len(maps) == len(out):
                break
        return maps

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stage_maps(images, ("coarse",))["coarse"].mean((2, 3)))


def tiny(*, num_classes: int, in_channels: int = 3, width: int = 4, base: int = 0) -> nn.Module:
    if width > 99:
        raise RuntimeError("too wide")
    if width in WRONG:
        return WRONG[width](num_classes)
    return Tiny(num_classes, in_channels, width + base)


def _lazy(num_classes: int) -> nn.Module:
    model = Tiny(num_classes, 3, 4)
    model.head = nn.LazyLinear(num_classes)
    return model


def _hidden(num_classes: int) -> nn.Module:
    model = Tiny(num_classes, 3, 4)
    model.encoder = Backbone(nn.Conv2d(3, 4, 1), (Stage("only", 4, 1),))
    return model


WRONG: dict[int, Callable[[int], Any]] = {
    95: _hidden,
    96: lambda _: None,
    97: lambda _: Tiny,
    98: _lazy,
}
"""By the width that asks for it, what no factory should give."""


def flat(*, num_classes: int, in_channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 4, num_classes))


class FakeRegistry:
    factories: ClassVar[dict[str, Callable[..., Any]]] = {"tiny": tiny, "flat": flat}

    def get(self, kind: str, name: str) -> Entry:
        if name not in self.factories:
            raise UnknownNameError(kind, name, self.factories)
        card = ModelCard(
            name=name,
            task="classification",
            summary="for tests",
            factory="tests:tiny",
            options={"base": 2} if name == "tiny" else {},
            num_params=1,
            gmacs=1.0,
            num_classes=7,
            input=InputSpec(size_px=16, channels=1, mean=(0.5,), std=(0.5,)),
        )
        return Entry(card, "tests", "zoo-tests", "1.2.3")

    def load(self, entry: Entry) -> Callable[..., Any]:
        factory = self.factories[entry.card.name]

        def bound(**options: Any) -> Any:
            return factory(**entry.card.options, **options)

        bound.__wrapped__ = factory  # type: ignore[attr-defined]  # the signature to check against
        return bound


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()
