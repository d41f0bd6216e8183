"""TrivialAugment and RandAugment on one uint8 image, random by its key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from zoo.data.transforms._pillow_ops import OPERATIONS, Border, from_pillow, to_pillow
from zoo.errors import ConfigError
from zoo.randomness import uniform
from zoo.structures import SampleKey

_CURE = 'Use "trivial", or "rand-m9-mstd0.5-inc1" with m, n, p, mstd and inc as in timm.'


class Policy(Protocol):
    """An augmentation of one image."""

    def __call__(self, image: Tensor, key: SampleKey, *, seed: int) -> Tensor: ...


@dataclass(frozen=True)
class TrivialAugmentWide:
    """One operation at a random one of 31 strengths.

    Source: Mueller and Hutter 2021, arXiv:2103.10158, in torchvision's version of the wide space.

    Attributes:
        interpolation: "bilinear", "bicubic", or "random" for either.
    """

    interpolation: str

    def __call__(self, image: Tensor, key: SampleKey, *, seed: int) -> Tensor:
        """(c, h, w) uint8 to the same."""
        which, strength, sign, resample = uniform(seed, "trivial_augment", [key], 4)[0]
        name, argument = _TRIVIAL_SPACE[int(which * len(_TRIVIAL_SPACE))]
        value = argument(int(strength * 31) / 30, 1.0 if sign < 0.5 else -1.0)
        border = Border(interpolation_of(self.interpolation, resample), (0, 0, 0))
        return from_pillow(OPERATIONS[name](to_pillow(image), value, border))


@dataclass(frozen=True)
class RandAugment:
    """Some operations in a row, all of about one strength, each left out with some probability.

    Source: Cubuk 2019, arXiv:1909.13719, as timm's ``rand_augment_transform`` has it.

    Attributes:
        magnitude: of the operations, 0 to 10.
        layers: operations drawn, with replacement.
        probability: of applying each.
        magnitude_std: of the normal noise on the magnitude; infinite draws uniformly below it.
        increasing: use the scales in which a greater magnitude is always a stronger change.
        interpolation: "bilinear", "bicubic", or "random" for either.
        fill: colour of what comes in.
    """

    magnitude: float
    layers: int
    probability: float
    magnitude_std: float
    increasing: bool
    interpolation: str
    fill: tuple[int, ...]

    def __call__(self, image: Tensor, key: SampleKey, *, seed: int) -> Tensor:
        """(c, h, w) uint8 to the same."""
        rows = uniform(seed, "rand_augment", [key], 6 * self.layers).reshape(self.layers, 6)
        pillow = to_pillow(image)
        operations = rand_operations(increasing=self.increasing)
        for which, applied, noise_1, noise_2, sign, resample in rows.tolist():
            if applied > self.probability:
                continue
            name, argument = operations[int(which * len(operations))]
            level = self._level(noise_1, noise_2) / 10
            value = argument(level, -1.0 if sign > 0.5 else 1.0)
            if name.startswith("translate"):
                value *= pillow.size[name == "translate_y"]
            border = Border(interpolation_of(self.interpolation, resample), self.fill)
            pillow = OPERATIONS[name](pillow, value, border)
        return from_pillow(pillow)

    def _level(self, noise_1: float, noise_2: float) -> float:
        magnitude = self.magnitude
        if math.isinf(self.magnitude_std):
            magnitude *= noise_1
        elif self.magnitude_std:
            normal = math.sqrt(-2 * math.log(1 - noise_1)) * math.cos(2 * math.pi * noise_2)
            magnitude += self.magnitude_std * normal
        return min(max(magnitude, 0.0), 10.0)


def build_policy(text: str, *, interpolation: str, mean: tuple[float, ...]) -> Policy:
    """The policy that ``transforms.auto_augment`` names.

    Args:
        text: "trivial", or timm's words: "rand-m7-mstd0.5-inc1".
        interpolation: "bilinear", "bicubic", or "random" for either.
        mean: of the images, where white is 1; what RandAugment fills with.

    Raises:
        ConfigError: it names none.
    """
    if text == "trivial":
        return TrivialAugmentWide(interpolation)
    kind, *parts = text.split("-")
    if kind != "rand":
        raise ConfigError(f"transforms.auto_augment is {text!r}, which is no policy", _CURE)
    values = {"m": 10.0, "n": 2.0, "p": 0.5, "mstd": 0.0, "inc": 0.0}
    for part in parts:
        match = re.fullmatch(r"([a-z]+)(\d+(?:\.\d+)?)", part)
        if match is None or match[1] not in values:
            raise ConfigError(f"transforms.auto_augment is {text!r}: {part!r} says nothing", _CURE)
        values[match[1]] = float(match[2])
    fill = tuple(min(255, round(255 * value)) for value in mean)
    return RandAugment(
        magnitude=values["m"],
        layers=int(values["n"]),
        probability=values["p"],
        magnitude_std=math.inf if values["mstd"] > 100 else values["mstd"],
        increasing=bool(values["inc"]),
        interpolation=interpolation,
        fill=fill,
    )


Argument = Callable[[float, float], float]
"""Strength from 0 to 1, and a sign of 1 or -1, to an operation's number."""


def _nothing(_: float, __: float) -> float:
    return 0.0


def _signed(greatest: float) -> Argument:
    return lambda strength, sign: greatest * strength * sign


def _around_one(greatest: float, least: float = 0.0) -> Argument:
    """Factors on either side of 1, which changes nothing."""
    return lambda strength, sign: max(least, 1.0 + greatest * strength * sign)


_TRIVIAL_SPACE: list[tuple[str, Argument]] = [
    ("identity", _nothing),
    ("shear_x", _signed(0.99)),
    ("shear_y", _signed(0.99)),
    ("translate_x", lambda strength, sign: int(32.0 * strength * sign)),
    ("translate_y", lambda strength, sign: int(32.0 * strength * sign)),
    ("rotate", _signed(135.0)),
    ("brightness", _around_one(0.99)),
    ("color", _around_one(0.99)),
    ("contrast", _around_one(0.99)),
    ("sharpness", _around_one(0.99)),
    ("posterize", lambda strength, _: 8 - round(6 * strength)),
    ("solarize", lambda strength, _: 255.0 * (1 - strength)),
    ("auto_contrast", _nothing),
    ("equalize", _nothing),
]


def rand_operations(*, increasing: bool) -> list[tuple[str, Argument]]:
    """The operations of timm with their scales; translations are fractions of the size."""
    return _RAND_INCREASING if increasing else _RAND_PLAIN


def _posterize_bits(strength: float, _: float) -> float:
    return int(strength * 4)


def _solarize_threshold(strength: float, _: float) -> float:
    return min(256, int(strength * 256))


def _plain_factor(strength: float, _: float) -> float:
    return strength * 1.8 + 0.1


def _rand_space(
    posterize: Argument, solarize: Argument, factor: Argument
) -> list[tuple[str, Argument]]:
    return [
        ("auto_contrast", _nothing),
        ("equalize", _nothing),
        ("invert", _nothing),
        ("rotate", _signed(30.0)),
        ("posterize", posterize),
        ("solarize", solarize),
        ("solarize_add", lambda strength, _: min(128, int(strength * 110))),
        ("color", factor),
        ("contrast", factor),
        ("brightness", factor),
        ("sharpness", factor),
        ("shear_x", _signed(0.3)),
        ("shear_y", _signed(0.3)),
        ("translate_x", _signed(0.45)),
        ("translate_y", _signed(0.45)),
    ]


_RAND_PLAIN = _rand_space(_posterize_bits, _solarize_threshold, _plain_factor)
_RAND_INCREASING = _rand_space(
    lambda strength, sign: 4 - _posterize_bits(strength, sign),
    lambda strength, sign: 256 - _solarize_threshold(strength, sign),
    _around_one(0.9, least=0.1),
)


def interpolation_of(wanted: str, draw: float) -> str:
    """The mode itself, or either by the draw in [0, 1) where "random" is wanted."""
    if wanted == "random":
        return "bilinear" if draw < 0.5 else "bicubic"
    return wanted
