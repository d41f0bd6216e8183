"""The sample stage: crop, resize and augment one image, on uint8, in a loader process."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from zoo.cards import InputSpec
from zoo.data.transforms._auto_augment import Policy, interpolation_of
from zoo.randomness import uniform
from zoo.structures import Sample, SampleKey

_CROP_ATTEMPTS = 10
_LONGEST = 16
Box = tuple[int, int, int, int]
"""top, left, height, width in px."""


class SampleStage:
    """Crops (a random box in training, the centre in evaluation), resizes, augments."""

    def __init__(  # noqa: PLR0913  (all that a crop depends on)
        self,
        spec: InputSpec,
        *,
        seed: int,
        train: bool,
        crop: bool,
        short_side_px: tuple[int, int] | None = None,
        scale: tuple[float, float],
        ratio: tuple[float, float],
        interpolation: str,
        policy: Policy | None,
    ) -> None:
        self._spec = spec
        self._seed = seed
        self._train = train
        self._crop = crop
        self._short_side_px = short_side_px
        self._scale = scale
        self._ratio = ratio
        self._interpolation = interpolation
        self._policy = policy

    @property
    def does_anything(self) -> bool:
        """Whether samples change at all."""
        return self._crop or self._policy is not None

    def __call__(self, sample: Sample, key: SampleKey) -> Sample:
        image = sample.image
        if self._crop and self._train:
            image = self._random_crop(image, key)
        elif self._crop:
            image = resize_and_centre_crop(image, self._spec)
        if self._policy is not None:
            image = self._policy(image, key, seed=self._seed)
        return replace(sample, image=image)

    def _random_crop(self, image: Tensor, key: SampleKey) -> Tensor:
        *draws, resample = uniform(self._seed, "crop", [key], 2 * _CROP_ATTEMPTS + 3)[0].tolist()
        height, width = image.shape[-2:]
        if self._short_side_px is not None:
            box = short_side_box(height, width, self._spec.size_px, self._short_side_px, draws)
        else:
            box = random_box(height, width, self._scale, self._ratio, draws)
        mode = interpolation_of(self._interpolation, resample)
        return resize(cut(image, box), self._spec.size_px, self._spec.size_px, mode)


def random_box(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    draws: list[float],
) -> Box:
    """A box of random area and shape, as torchvision's ``RandomResizedCrop`` draws it.

    Ten tries of a uniform area and a log-uniform ratio, then the largest centred box of a ratio
    that is allowed.

    Args:
        height, width: of the image.
        scale: of the box's area, as a fraction of the image's.
        ratio: of the box's width to its height.
        draws: 22 numbers in [0, 1).
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for attempt in range(_CROP_ATTEMPTS):
        area = height * width * (scale[0] + draws[2 * attempt] * (scale[1] - scale[0]))
        shape = math.exp(low + draws[2 * attempt + 1] * (high - low))
        box_width, box_height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(draws[-2] * (height - box_height + 1))
            left = int(draws[-1] * (width - box_width + 1))
            return top, left, box_height, box_width
    shape = min(max(width / height, ratio[0]), ratio[1])
    box_width = min(width, max(1, round(height * shape)))
    box_height = min(height, max(1, round(width / shape)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def short_side_box(
    height: int,
    width: int,
    size_px: int,
    short_side_px: tuple[int, int],
    draws: list[float],
) -> Box:
    """The square that is ``size_px`` wide once the image's shorter side has a random length.

    Args:
        height, width: of the image.
        size_px: of the crop.
        short_side_px: least and greatest length that the shorter side is resized to.
        draws: at least 3 numbers in [0, 1).
    """
    low, high = short_side_px
    shorter_px = low + int(draws[0] * (high - low + 1))
    side = min(height, width, max(1, round(min(height, width) * size_px / shorter_px)))
    top = int(draws[-2] * (height - side + 1))
    left = int(draws[-1] * (width - side + 1))
    return top, left, side, side


def cut(image: Tensor, box: Box) -> Tensor:
    """The box of the image, as a view."""
    top, left, height, width = box
    return image[..., top : top + height, left : left + width]


def resize(image: Tensor, height: int, width: int, mode: str) -> Tensor:
    """Antialiased resize by torch's native uint8 kernel: (c, h, w) to (c, height, width)."""
    if image.shape[-2:] == (height, width):
        return image
    # A batch of one whose strides say "channels last" is read and written pixel by pixel where it
    # lies: the same numbers in half of the time.
    pixels = image.permute(1, 2, 0)[None].permute(0, 3, 1, 2)
    return functional.interpolate(pixels, size=(height, width), mode=mode, antialias=True)[0]


def resize_and_centre_crop(image: Tensor, spec: InputSpec) -> Tensor:
    """The shorter side to ``resize_px``, then the middle; without ``resize_px``, a plain resize.

    An image whose shorter side is then still below ``size_px`` is resized to it instead.
    """
    size_px = spec.size_px
    if spec.resize_px is None:
        return resize(image, size_px, size_px, spec.interpolation)
    image = _without_far_ends(image)
    shorter_px = max(spec.resize_px, size_px)
    height, width = image.shape[-2:]
    if height <= width:
        height, width = shorter_px, int(shorter_px * width / height)
    else:
        height, width = int(shorter_px * height / width), shorter_px
    image = resize(image, height, width, spec.interpolation)
    top, left = round((height - size_px) / 2.0), round((width - size_px) / 2.0)
    return cut(image, (top, left, size_px, size_px))


def _without_far_ends(image: Tensor) -> Tensor:
    """A very long image's middle part, so that resizing its shorter side takes little memory.

    Only an image more than ``_LONGEST`` times as long as wide is cut, far outside the crop.
    """
    height, width = image.shape[-2:]
    longest = _LONGEST * min(height, width)
    if max(height, width) <= longest:
        return image
    rows, columns = min(height, longest), min(width, longest)
    return cut(image, ((height - rows) // 2, (width - columns) // 2, rows, columns))
