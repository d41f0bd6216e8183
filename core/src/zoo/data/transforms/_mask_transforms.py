"""What is done to images with masks, for training and for evaluation, in two stages.

Whatever moves pixels moves those of the image and of the mask alike; masks are never interpolated.
An evaluation changes no size: images come as they are, padded only to share a batch.
"""

from __future__ import annotations

from typing import Literal

from zoo.cards import InputSpec
from zoo.data.transforms._batch_stage import MAPS, BatchStage
from zoo.data.transforms._image_transforms import (
    check_numbers,
    check_probabilities,
    check_range,
    check_sizes,
)
from zoo.data.transforms._mask_stage import Geometry, MaskStage
from zoo.data.transforms._transforms import Transforms


def mask_transforms(  # noqa: PLR0913  (these are the options of [transforms])
    *,
    train: bool,
    spec: InputSpec,
    seed: int,
    crop: Literal["random", "none"] = "random",
    scale: tuple[float, float] = (1.0, 1.0),
    rotate_deg: float = 0.0,
    elastic_px: float = 0.0,
    elastic_grid: int = 3,
    context_px: int = 0,
    flip: float = 0.5,
    flip_vertical: float = 0.0,
    quarter_turns: bool = False,
    jitter: float = 0.0,
    lighting: float = 0.0,
    train_size_px: int | None = None,
) -> Transforms:
    """Both stages for a split; an evaluation only normalises.

    Args:
        train: augment.
        spec: the size, channels, mean and std that the model wants.
        seed: of the run; with a sample's key it decides everything random.
        crop: "random" for images of any size: training sees square crops of ``data.image_size``,
            mirrored where the image ends. "none" for images that are all of one size: they are
            seen as they are, and need no loader processes.
        scale: least and greatest factor by which an image is enlarged before the crop.
        rotate_deg: greatest rotation to either side.
        elastic_px: standard deviation of the elastic deformation, drawn on a coarse grid and
            smoothed (Ronneberger 2015: 10 px on 3 by 3 points); 0 is off.
        elastic_grid: points on a side of that grid.
        context_px: of the image around a crop that the network sees and is not asked about: 92
            for valid convolutions.
        flip: probability of a horizontal flip.
        flip_vertical: probability of a vertical flip.
        quarter_turns: turn by 0, 90, 180 or 270 degrees, each equally often.
        jitter: brightness, contrast and saturation each change by a factor within 1 - jitter and
            1 + jitter.
        lighting: standard deviation of the noise along the principal colours of ImageNet
            (Krizhevsky 2012: 0.1); 0 is off.
        train_size_px: height and width of crops, where it differs from ``data.image_size``.

    Raises:
        ConfigError: an option out of its range.
    """
    check_probabilities(flip=flip, flip_vertical=flip_vertical, jitter=jitter)
    check_numbers(
        rotate_deg=rotate_deg, elastic_px=elastic_px, context_px=context_px, lighting=lighting
    )
    check_sizes(train_size_px=train_size_px, elastic_grid=elastic_grid)
    check_range("scale", scale, high=float("inf"))
    if not train:
        return Transforms(None, BatchStage(spec, seed=seed, resize=False), fill=MAPS)
    geometry = Geometry(
        size_px=train_size_px or spec.size_px,
        context_px=context_px,
        scale=scale,
        rotate_deg=rotate_deg,
        elastic_px=elastic_px,
        elastic_grid=elastic_grid,
        interpolation=spec.interpolation,
    )
    batch = BatchStage(
        spec,
        seed=seed,
        resize=False,
        flip=flip,
        flip_vertical=flip_vertical,
        quarter_turns=quarter_turns,
        jitter=jitter,
        lighting=lighting,
    )
    return Transforms(MaskStage(geometry, seed=seed) if crop == "random" else None, batch)
