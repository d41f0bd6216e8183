"""Selective search (Uijlings 2013, doi:10.1007/s11263-013-0620-5): proposals from grouped segments.

A picture falls into small segments of about one colour; the two most alike (in colour, texture,
size and fit) become one, again and again until the picture is one segment.  Every segment on the
way is a proposal: objects of all sizes are among them.  Several colour spaces and segmentations
give several hierarchies.  OpenCV does that; what is left here is an order.

Shapes: h w height and width in px, p proposals.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import ConfigError
from zoo.extras import import_extra
from zoo.randomness import uniform
from zoo.structures import SampleKey

Mode = Literal["single", "fast", "quality"]
"""One hierarchy; those of two colour spaces; or of five, with more segmentations of each."""


def selective_search(
    image: NDArray[np.uint8], *, mode: Mode = "fast", limit: int = 2000, side_px: int = 500
) -> tuple[Tensor, Tensor]:
    """The likeliest regions of an image to hold an object, the best first.

    Segments from high up in a hierarchy come first, mixed at random lest only large ones do
    (section 3.3).  The order is a function of the image alone.

    Args:
        image: (h, w, 3) RGB.
        mode: "fast" gives some 1,500 boxes for a photo of 0.3 megapixels, "quality" some 10,000.
        limit: most boxes.
        side_px: the longer side of the image that is searched; segments have sizes in px, so a
            picture is brought to one size first (as in Girshick 2014, section 4.1).

    Returns:
        Boxes (p, 4) x1 y1 x2 y2 float32 in px; scores (p,) that fall from 1 towards 0.

    Raises:
        UsageError: OpenCV is not installed.
    """
    scale = side_px / max(image.shape[:2])
    boxes = np.unique(_segments(image, mode, scale), axis=0)
    large_first = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    height, width = image.shape[:2]
    boxes = np.minimum(boxes[large_first] / scale, [width, height, width, height])
    numbers = uniform(0, "selective-search", [SampleKey(0, 0)], draws=len(boxes))[0]
    rank = np.argsort(numbers * np.arange(1, len(boxes) + 1), kind="stable")[:limit]
    scores = 1 - torch.arange(len(rank), dtype=torch.float32) / max(len(rank), 1)
    return torch.from_numpy(boxes[rank].astype(np.float32)), scores


def selective_search_proposer(
    *, mode: Mode = "fast", limit: int = 2000, side_px: int = 500
) -> Callable[[NDArray[np.uint8]], tuple[Tensor, Tensor]]:
    """Selective search as a proposer.

    Args:
        mode: "single", "fast" or "quality": more hierarchies, more boxes, more time.
        limit: most boxes of an image.
        side_px: the longer side of the image that is searched.

    Raises:
        UsageError: OpenCV is not installed.
        ConfigError: a limit or a side below 1.
    """
    if min(limit, side_px) < 1:
        raise ConfigError("limit and side_px of selective search must be at least 1")
    # Loader processes see to all cores, and a forked one has none of OpenCV's threads.
    _opencv().setNumThreads(0)
    return partial(selective_search, mode=mode, limit=limit, side_px=side_px)


def _segments(image: NDArray[np.uint8], mode: Mode, scale: float) -> NDArray[np.int64]:
    """The boxes (p, 4) of all segments in px of the resized image, in no order that lasts."""
    cv2 = _opencv()
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    resized = cv2.resize(
        np.ascontiguousarray(image[:, :, ::-1]),
        (width, height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(resized)
    {
        "single": search.switchToSingleStrategy,
        "fast": search.switchToSelectiveSearchFast,
        "quality": search.switchToSelectiveSearchQuality,
    }[mode]()
    corner_and_size: NDArray[np.int64] = np.asarray(search.process(), dtype=np.int64).reshape(-1, 4)
    corner, size = corner_and_size[:, :2], corner_and_size[:, 2:]
    return np.concatenate([corner, corner + size], axis=1)


def _opencv() -> Any:
    """OpenCV with its contributed modules, which the package opencv-python lacks."""
    cv2, _ = (
        import_extra(
            module,
            library="OpenCV with its contributed modules",
            purpose="selective search",
            install="zoo-rcnn[selective-search]",
        )
        for module in ("cv2", "cv2.ximgproc")
    )
    return cv2
