"""What is done to images with masks, for training and for evaluation, in two stages.

Whatever moves pixels moves those of the image and of the mask alike; masks are never interpolated.
An evaluation changes no size: images come as they are, padded only to share a batch.
"""

from __future__ import annotations

from typing import Literal

from zoo.cards import InputSpec
from zoo.data._batch_stage import MAPS, BatchStage
from zoo.data._transforms import Transforms


def mask_transforms(  # noqa: PLR0913  (these are the options of [transforms])
    *,
    train: bool,
    spec: InputSpec,
    seed: int,
    num_classes: int,  # noqa: ARG001  (of every task's transforms)
    crop: Literal["random", "none"] = "random",  # noqa: ARG001
    flip: float = 0.5,
    flip_vertical: float = 0.0,
    quarter_turns: bool = False,
    jitter: float = 0.0,
) -> Transforms:
    """Both stages for a split."""
    if not train:
        return Transforms(None, BatchStage(spec, seed=seed, resize=False), fill=MAPS)
    batch = BatchStage(
        spec,
        seed=seed,
        resize=False,
        flip=flip,
        flip_vertical=flip_vertical,
        quarter_turns=quarter_turns,
        jitter=jitter,
    )
    return Transforms(None, batch)
