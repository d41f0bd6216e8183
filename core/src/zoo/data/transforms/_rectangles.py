"""Rectangles of a batch as masks, for erasing and for CutMix."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.devices import send


def boxes_to_masks(boxes: NDArray[np.float64], images: Tensor) -> Tensor:
    """(b, 4) top, left, height, width to (b, 1, h, w) bool, true inside."""
    edges = send(torch.from_numpy(boxes.astype(np.int64)), images.device)
    top, left, box_height, box_width = edges[:, :, None].unbind(1)
    rows = torch.arange(images.shape[-2], device=images.device)
    columns = torch.arange(images.shape[-1], device=images.device)
    in_rows = (rows >= top) & (rows < top + box_height)
    in_columns = (columns >= left) & (columns < left + box_width)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
