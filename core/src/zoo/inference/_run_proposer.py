"""A run's model as a proposer for other detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.errors import UsageError
from zoo.tasks import DetectionTask

if TYPE_CHECKING:
    from zoo.inference._predictor import Predictor


class RunProposer:
    """The regions that a run's model proposes (``rpn:RUN``).

    Args:
        predictor: of the run.

    Raises:
        UsageError: its model proposes nothing.
    """

    def __init__(self, predictor: Predictor) -> None:
        task = predictor.task
        if not (isinstance(task, DetectionTask) and hasattr(predictor.model, "propose")):
            raise UsageError(
                f"{predictor.record.model} proposes no regions",
                "Name a run of a model that does, such as faster_rcnn_resnet18_fpn.",
            )
        self._predictor, self._task = predictor, task

    @property
    def in_process(self) -> bool:
        """Whether it works in this process alone: loader processes do not share a GPU."""
        return self._predictor.device.type != "cpu"

    def __call__(self, image: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Boxes (p, 4) in px of the image and scores (p,); image (h, w, 3) RGB."""
        channels = self._predictor.record.in_channels
        shown = Image.fromarray(image).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
        pixels = np.asarray(shown).reshape(*image.shape[:2], channels)
        sample = self._predictor.prepare(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
        [(boxes, scores)] = self._predictor.ask(self._task.propose, [sample])
        return boxes.float().cpu(), scores.float().cpu()
