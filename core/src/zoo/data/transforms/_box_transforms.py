"""What is done to images with boxes, for training and for evaluation, in two stages."""

from __future__ import annotations

from typing import Literal

from zoo.cards import InputSpec
from zoo.data.transforms._box_stage import BOX_FILL, BoxBatchStage, BoxStage, Fitting
from zoo.data.transforms._image_transforms import check_probabilities, check_range, check_sizes
from zoo.data.transforms._mosaic import Mosaic
from zoo.data.transforms._transforms import SampleTransform, Transforms


def box_transforms(  # noqa: PLR0913  (these are the options of [transforms])
    *,
    train: bool,
    spec: InputSpec,
    seed: int,
    resize: Literal["fit", "short-side", "none"] = "fit",
    short_side_px: int = 800,
    long_side_px: int = 1333,
    mosaic: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    crop: float = 0.0,
    flip: float = 0.5,
    jitter: float = 0.0,
    least_visible: float = 0.3,
) -> Transforms:
    """Both stages for a split; an evaluation only resizes and normalises.

    Images keep their ratio.  Those of one batch are padded below and to the right, with 0 after
    normalisation.  ``batch.targets["own_sizes"]`` (b, 2) float32 are height and width, in each
    image's own px, of what ``batch.sizes`` says in px of the batch: ``to_own_pixels`` maps boxes.

    Args:
        train: augment.
        spec: the size, channels, mean and std that the model wants.
        seed: of the run; with a sample's key it decides everything random.
        resize: "fit" makes the longer side ``data.image_size`` px long. "short-side" makes the
            shorter one ``short_side_px`` long, or less where the longer one would be longer than
            ``long_side_px``. "none" leaves images as they are.
        short_side_px: of the shorter side for "short-side" (Girshick 2015: 600, Lin 2017: 800).
        long_side_px: that the longer side may have then (Girshick 2015: 1000, Lin 2017: 1333).
        mosaic: probability of joining an image with three others of the split (Bochkovskiy 2020,
            arXiv:2004.10934).
        scale: least and greatest factor by which an image is enlarged on top of that; what then
            lies outside of the frame is cut away.
        crop: probability of cutting away up to a quarter from each side, but no part of a box.
        flip: probability of a horizontal flip.
        jitter: brightness, contrast and saturation each change by a factor within 1 - jitter and
            1 + jitter.
        least_visible: fraction of its area that a box must keep where ``scale`` cuts it; others
            are left out, as ``mosaic`` does, too.

    Raises:
        ConfigError: an option out of its range.
    """
    check_probabilities(
        mosaic=mosaic, flip=flip, crop=crop, jitter=jitter, least_visible=least_visible
    )
    check_sizes(short_side_px=short_side_px, long_side_px=long_side_px)
    check_range("scale", scale, high=float("inf"))
    fittings = {
        "fit": Fitting(short_side_px=None, long_side_px=spec.size_px),
        "short-side": Fitting(short_side_px=short_side_px, long_side_px=long_side_px),
        "none": None,
    }
    fitting = fittings[resize]
    stage = BoxStage(seed=seed, fitting=fitting, interpolation=spec.interpolation)
    sample: SampleTransform | None = None
    if train:
        stage = BoxStage(
            seed=seed,
            fitting=fitting,
            scale=(scale[0], scale[1]),
            crop=crop,
            flip=flip,
            jitter=jitter,
            least_visible=least_visible,
            interpolation=spec.interpolation,
        )
    if stage.does_anything:
        sample = stage
    if train and mosaic:
        sample = Mosaic(seed=seed, probability=mosaic, stage=stage)
    return Transforms(
        sample=sample,
        batch=BoxBatchStage(spec, seed=seed),
        fill=BOX_FILL,
    )
