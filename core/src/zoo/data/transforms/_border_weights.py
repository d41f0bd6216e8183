"""The weights of the U-Net paper, which make a network learn the borders between objects.

Source: Ronneberger 2015, arXiv:1505.04597, equation 2: w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 /
(2 sigma^2)), with d1 and d2 the distances to the nearest and the second nearest object.  Here is
the second summand; w_c is the task's ``class_weights``.

An object is a connected region of one class other than the background (a mask has no numbers of
objects); regions touch at edges, not at corners.

Differs from the paper: what is less than 10^-4 of w0 is 0, so that an object is looked at only
where it can matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.transforms._transforms import SampleTransform, Transforms
from zoo.extras import import_extra
from zoo.structures import IGNORED, Sample, SampleKey

_LEAST = 1e-4


def weigh_borders(transforms: Transforms, *, weight: float, sigma_px: float) -> Transforms:
    """Transforms that also give each pixel its border weight, as the target "weights".

    Raises:
        UsageError: SciPy is not installed.
    """
    _ndimage()
    stage = _WeighBorders(transforms.sample, weight, sigma_px)
    return replace(transforms, sample=stage)


@dataclass(frozen=True)
class _WeighBorders:
    before: SampleTransform | None
    weight: float
    sigma_px: float

    def __call__(self, sample: Sample, key: SampleKey) -> Sample:
        if self.before is not None:
            sample = self.before(sample, key)
        if "masks" not in sample.targets:  # an image to be predicted
            return sample
        mask = torch.as_tensor(sample.targets["masks"]).numpy()
        weights = border_weights(mask, weight=self.weight, sigma_px=self.sigma_px)
        targets = {**sample.targets, "weights": torch.from_numpy(weights)}
        return replace(sample, targets=targets)


def border_weights(
    mask: NDArray[np.uint8], *, weight: float, sigma_px: float
) -> NDArray[np.float32]:
    """(h, w) weights of a mask's pixels; 0 on objects and where there are fewer than two.

    Args:
        mask: (h, w) class numbers, 0 the background.
        weight: w0.
        sigma_px: sigma.

    Raises:
        UsageError: SciPy is not installed.
    """
    ndimage = _ndimage()
    first = np.full(mask.shape, np.inf)
    second = np.full(mask.shape, np.inf)
    reach_px = math.ceil(sigma_px * math.sqrt(-2 * math.log(_LEAST)))
    for number in np.setdiff1d(mask, [0, IGNORED]):
        regions, _ = ndimage.label(mask == number)
        for region, box in enumerate(ndimage.find_objects(regions), start=1):
            near = tuple(slice(max(0, s.start - reach_px), s.stop + reach_px) for s in box)
            distance = ndimage.distance_transform_edt(regions[near] != region)
            second[near] = np.minimum(second[near], np.maximum(first[near], distance))
            first[near] = np.minimum(first[near], distance)
    weights = weight * np.exp(-((first + second) ** 2) / (2 * sigma_px**2))
    return np.asarray(np.where(mask == 0, weights, 0.0), dtype=np.float32)


def _ndimage() -> Any:
    return import_extra(
        "scipy.ndimage",
        library="SciPy",
        purpose="task.loss = border",
        install="zoo-core[segmentation]",
    )
