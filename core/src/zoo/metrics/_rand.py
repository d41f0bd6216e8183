"""The foreground-restricted Rand score of the ISBI 2012 challenge.

Source: Arganda-Carreras 2015, "Crowdsourcing the creation of image segmentation algorithms for
connectomics", Frontiers in Neuroanatomy 9:142, equations 1 to 3 with alpha = 1/2.  With p_ij the
share of pixels that are in segment i of the prediction and j of the truth, s_i and t_j their sums,
V = sum p_ij^2 / (1/2 sum s_i^2 + 1/2 sum t_j^2), over the pixels that the truth calls foreground.

Differs from the challenge: borders are not thinned first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.extras import import_extra
from zoo.metrics._metric import Metric
from zoo.metrics._segmentation import counted, mean_of_known
from zoo.structures import IGNORED, Batch


class RandScore(Metric):
    """How well segments agree as wholes: a gap of one px that joins two objects costs much.

    Segments are connected regions, at edges, of all classes but the first one, the background;
    what is predicted as background is one segment more.  The score of a split is the mean over its
    images, of those that have any foreground.

    Args:
        classes: names, in the order of the masks' numbers.
        ignore_index: number of a class whose pixels count nowhere.

    Raises:
        UsageError: SciPy is not installed.
    """

    gathered = frozenset({"scores"})

    def __init__(self, *, classes: Sequence[str], ignore_index: int = IGNORED) -> None:
        self.classes = tuple(classes)
        self.ignore_index = ignore_index
        self._ndimage = import_extra(
            "scipy.ndimage",
            library="SciPy",
            purpose="the Rand score",
            install="zoo-core[segmentation]",
        )
        self.states = {"scores": torch.zeros(0, 2, dtype=torch.float64)}

    def to(self, device: torch.device) -> RandScore:
        """Rows stay on the host, which computes them; MPS has no float64."""
        return self

    def update(self, predictions: Tensor, batch: Batch) -> None:
        """Add a batch of class numbers (b, h, w); this one waits for the device."""
        masks = batch.targets["masks"]
        inside = counted(masks, self.ignore_index) & (masks != 0)
        scores = [
            self._score(*(maps.numpy() for maps in image))
            for image in zip(predictions.cpu(), masks.cpu(), inside.cpu(), strict=True)
        ]
        rows = torch.tensor(scores, dtype=torch.float64)
        self.states["scores"] = torch.cat(
            [self.states["scores"], torch.stack([batch.ids.cpu().double(), rows], dim=1)]
        )

    def compute(self) -> dict[str, float]:
        """The mean over images as "rand_score"."""
        return {"rand_score": mean_of_known(self.states["scores"][:, 1].tolist())}

    def _score(
        self, prediction: NDArray[Any], mask: NDArray[Any], inside: NDArray[np.bool_]
    ) -> float:
        if not inside.any():
            return float("nan")
        segments, truth = (self._segments(maps)[inside] for maps in (prediction, mask))
        _, joint = np.unique(np.stack([segments, truth]), axis=1, return_counts=True)
        own, true = np.bincount(segments), np.bincount(truth)
        together, alone = (joint.astype(float) ** 2).sum(), (own.astype(float) ** 2).sum()
        return float(2 * together / (alone + (true.astype(float) ** 2).sum()))

    def _segments(self, maps: NDArray[Any]) -> NDArray[np.int64]:
        """Numbers of the connected regions of each class, 0 the background."""
        segments = np.zeros(maps.shape, dtype=np.int64)
        count = 0
        for number in np.setdiff1d(maps, [0, IGNORED]):
            regions, found = self._ndimage.label(maps == number)
            segments = np.where(regions > 0, regions + count, segments)
            count += found
        return segments
