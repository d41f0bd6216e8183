"""The batch stage: what is one operation for the whole batch, on the batch's own device.

The random numbers are drawn on the host, from the samples' keys, and copied once for each step
that is switched on; nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zoo.cards import InputSpec
from zoo.data.transforms._mixing import mix_pairs
from zoo.data.transforms._rectangles import boxes_to_masks
from zoo.devices import send
from zoo.errors import DataError
from zoo.randomness import uniform
from zoo.structures import IGNORED, Batch
from zoo.wording import counted

_ERASE_ATTEMPTS = 10
_ERASE_AREA = (0.02, 1 / 3)
_ERASE_RATIO = (0.3, 3.3)
_COLOUR_DEVIATIONS = (0.2175, 0.0188, 0.0045)
_PRINCIPAL_COLOURS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
"""Of ImageNet's pixels, white being 1; rows are R, G, B (as in fb.resnet.torch)."""
MAPS = {"masks": IGNORED, "weights": 0}
"""Targets that are maps of the image's pixels, each with the value of what lies outside."""
_LUMA = (0.299, 0.587, 0.114)


class BatchStage:
    """uint8 images of any one size to normalised floats of the size that the model sees.

    Channels → resize → shift → flip → turn → lighting → jitter → normalise → erase → mix.  Without
    options, it only resizes and normalises: the evaluation's stage.  Masks move with their images
    and come out int64.
    """

    def __init__(  # noqa: PLR0913  (a step each)
        self,
        spec: InputSpec,
        *,
        seed: int,
        resize: bool = True,
        flip: float = 0.0,
        flip_vertical: float = 0.0,
        quarter_turns: bool = False,
        shift: float = 0.0,
        lighting: float = 0.0,
        jitter: float = 0.0,
        erase: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        self._spec = spec
        self._seed = seed
        self._resized = resize
        self._flip = flip
        self._flip_vertical = flip_vertical
        self._quarter_turns = quarter_turns
        self._shift_px = round(shift * spec.size_px)
        self._lighting = lighting
        self._jitter = jitter
        self._erase = erase
        self._mixup = mixup
        self._cutmix = cutmix
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, batch: Batch) -> Batch:
        images = to_channels(batch.images, self._spec.channels)
        images = self._resize(images) if self._resized else images.float()
        targets = _wide_masks(batch.targets)
        batch = self._move(Batch(images, batch.sizes, batch.ids, targets, batch.keys))
        images = batch.images
        if self._lighting:
            images = light_images(images, self._draw(batch, "lighting", 6), self._lighting)
        if self._jitter:
            images = jitter_images(images, self._draw(batch, "jitter", 3), self._jitter)
        images = self._normalise(images)
        if self._erase:
            images = erase_images(images, self._draw(batch, "erase", 23), self._erase)
        batch = batch.with_images(images)
        if self._mixup or self._cutmix:
            batch = mix_pairs(batch, self._seed, mixup=self._mixup, cutmix=self._cutmix)
        return batch

    def _move(self, batch: Batch) -> Batch:
        """What moves pixels moves those of the image and of every map of them alike."""
        if self._shift_px:
            offsets = self._offsets(batch)
            batch = move_pixels(batch, lambda maps, fill: shift_images(maps, offsets, fill))
        if self._flip:
            flipped = self._draw(batch, "flip", 1)[:, 0] < self._flip
            batch = move_pixels(batch, lambda maps, _: flip_images(maps, flipped))
        if self._flip_vertical:
            upset = self._draw(batch, "flip vertical", 1)[:, 0] < self._flip_vertical
            batch = move_pixels(batch, lambda maps, _: flip_images(maps, upset, dim=-2))
        if self._quarter_turns:
            turns = (self._draw(batch, "quarter turns", 1)[:, 0] * 4).astype(np.int64)
            batch = move_pixels(batch, lambda maps, _: turn_images(maps, turns))
        return batch

    def _draw(self, batch: Batch, stream: str, draws: int) -> NDArray[np.float64]:
        return uniform(self._seed, stream, batch.keys, draws)

    def _offsets(self, batch: Batch) -> NDArray[np.int64]:
        """Rows and columns to shift by: (b, 2)."""
        choices = 2 * self._shift_px + 1
        draws = self._draw(batch, "shift", 2)
        return (draws * choices).astype(np.int64) - self._shift_px

    def _resize(self, images: Tensor) -> Tensor:
        size = (self._spec.size_px, self._spec.size_px)
        images = images.float()
        if images.shape[-2:] == size:
            return images
        mode = self._spec.interpolation
        resized = functional.interpolate(images, size=size, mode=mode, antialias=True)
        # Bicubic overshoots; an image's pixels lie within black and white.
        return resized.clamp_(0, 255) if mode == "bicubic" else resized

    def _normalise(self, images: Tensor) -> Tensor:
        mean, scale = self._mean_and_scale(images.device)
        return (images - mean).mul_(scale)

    def _mean_and_scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Of pixels from 0 to 255, each (c, 1, 1); copied to a device once."""
        if device not in self._constants:
            mean = 255 * torch.tensor(self._spec.mean).reshape(-1, 1, 1)
            scale = 1 / (255 * torch.tensor(self._spec.std).reshape(-1, 1, 1))
            self._constants[device] = (mean.to(device), scale.to(device))
        return self._constants[device]


def to_channels(images: Tensor, channels: int) -> Tensor:
    """RGB to grey by its luma: (b, c, h, w) to (b, channels, h, w).

    Grey for an RGB model stays one channel here: normalising repeats it, when all else is done.
    """
    present = images.shape[1]
    if present == channels or (present == 1 and channels == 3):
        return images
    if present == 3 and channels == 1:
        weights = send(torch.tensor(_LUMA), images.device, images.dtype).reshape(3, 1, 1)
        return (images * weights).sum(1, keepdim=True)
    raise DataError(
        f"the images have {counted(present, 'channel')}, and the model wants {channels}",
        f"Set model.in_channels to {present}, or use other images.",
    )


def move_pixels(batch: Batch, move: Callable[[Tensor, int], Tensor]) -> Batch:
    """The batch with its images and its maps of pixels (masks, weights) moved alike.

    Args:
        move: (b, c, h, w) and the value of what comes in, to the same shape or a turned one.
    """
    targets = {
        name: move(target[:, None], MAPS[name])[:, 0] if name in MAPS else target
        for name, target in batch.targets.items()
    }
    return replace(batch, images=move(batch.images, 0), targets=targets)


def _wide_masks(targets: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Masks travel as uint8 and are counted as int64."""
    return {name: target.long() if name == "masks" else target for name, target in targets.items()}


def light_images(images: Tensor, draws: NDArray[np.float64], deviation: float) -> Tensor:
    """Add noise along the principal colours (Krizhevsky 2012, section 4.1); others than RGB stay.

    Args:
        images: (b, 3, h, w) of 0 to 255.
        draws: (b, 6) in [0, 1), made normal by Box and Muller's transform.
        deviation: of the noise along each colour, in units of the colour's own.
    """
    if images.shape[1] != 3:
        return images
    normal = np.sqrt(-2 * np.log1p(-draws[:, :3])) * np.cos(2 * np.pi * draws[:, 3:])
    along = 255 * deviation * normal * np.array(_COLOUR_DEVIATIONS)
    noise = along @ np.array(_PRINCIPAL_COLOURS).T
    return images + send(torch.from_numpy(noise), images.device, images.dtype)[:, :, None, None]


def jitter_images(images: Tensor, draws: NDArray[np.float64], strength: float) -> Tensor:
    """Another brightness, contrast and saturation for each image, each by a factor around 1.

    Args:
        images: (b, c, h, w) of 0 to 255; only RGB has a saturation.
        draws: (b, 3) in [0, 1).
        strength: factors lie within 1 - strength and 1 + strength.
    """
    wanted = torch.from_numpy(1 + strength * (2 * draws - 1))
    factors = send(wanted, images.device, images.dtype)
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = images * brightness
    images = torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)
    if images.shape[1] == 3:
        images = torch.lerp(to_channels(images, 1), images, saturation)
    return images.clamp(0, 255)


def shift_images(images: Tensor, offsets: NDArray[np.int64], fill: int = 0) -> Tensor:
    """Move each image.

    Args:
        images: (b, c, h, w).
        offsets: (b, 2) rows down and columns to the right.
        fill: what comes in.
    """
    height, width = images.shape[-2:]
    margin = int(np.abs(offsets).max(initial=0))
    if margin == 0:
        return images
    padded = functional.pad(images, (margin, margin, margin, margin), value=fill)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    starts = send(torch.from_numpy(margin - offsets), images.device)
    which = torch.arange(len(images), device=images.device)
    return windows[which, :, starts[:, 0], starts[:, 1]]


def flip_images(images: Tensor, flipped: NDArray[np.bool_], dim: int = -1) -> Tensor:
    """Mirror those images left to right, or top to bottom: (b, c, h, w) with (b,)."""
    which = send(torch.from_numpy(flipped), images.device)
    return torch.where(which[:, None, None, None], images.flip(dim), images)


def turn_images(images: Tensor, turns: NDArray[np.int64]) -> Tensor:
    """Turn each image by so many quarters to the left: (b, c, s, s) with (b,)."""
    return torch.stack(
        [image.rot90(int(n), (-2, -1)) for image, n in zip(images, turns, strict=True)]
    )


def erase_images(images: Tensor, draws: NDArray[np.float64], probability: float) -> Tensor:
    """Set a random rectangle to the mean, as torchvision's ``RandomErasing`` draws it.

    Args:
        images: (b, c, h, w), normalised.
        draws: (b, 23) in [0, 1): whether, ten tries of area and ratio, and where.
        probability: of erasing anything.
    """
    height, width = images.shape[-2:]
    tries = draws[:, 3:].reshape(-1, _ERASE_ATTEMPTS, 2)
    area = height * width * (_ERASE_AREA[0] + tries[..., 0] * (_ERASE_AREA[1] - _ERASE_AREA[0]))
    low, high = np.log(_ERASE_RATIO)
    ratio = np.exp(low + tries[..., 1] * (high - low))
    heights, widths = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (heights < height) & (widths < width)
    rows = np.arange(len(draws))
    first = fits.argmax(1)
    erased = (draws[:, 0] < probability) & fits[rows, first]
    box_height, box_width = heights[rows, first] * erased, widths[rows, first] * erased
    top = np.floor(draws[:, 1] * (height - box_height + 1))
    left = np.floor(draws[:, 2] * (width - box_width + 1))
    inside = boxes_to_masks(np.stack([top, left, box_height, box_width], 1), images)
    return images.masked_fill(inside, 0.0)
