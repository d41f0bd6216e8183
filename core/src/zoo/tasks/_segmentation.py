"""Segmentation: which one of the named classes each pixel of the image belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from torch.nn import functional

from zoo.data.boxes import BoxedFiles
from zoo.data.transforms import mask_transforms, weigh_borders
from zoo.errors import ConfigError, DataError
from zoo.metrics import BoundaryScores, Metric, RandScore, RegionScores
from zoo.structures import IGNORED, Batch, LossSum, Step
from zoo.tasks._class_weights import (
    balanced_weights,
    check_class_weights,
    check_settled,
    class_weights_tensor,
)
from zoo.tasks._drawing import caption, mask_image, overlay, shortened
from zoo.tasks._masks import check_usable, class_pixels, share_lines, unused_lines
from zoo.tasks._pixel_losses import cross_entropy, dice, dice_count, pixel_count
from zoo.tasks._task import Task
from zoo.tasks._tiles import UNCUT, Tiles, dense_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from zoo.cards import InputSpec
    from zoo.data.datasets import Dataset
    from zoo.data.transforms import Transforms

LOSSES = {
    "cross_entropy": ("cross_entropy",),
    "dice": ("dice",),
    "cross_entropy+dice": ("cross_entropy", "dice"),
    "focal": ("focal",),
    "border": ("border",),
}
"""The terms of each loss, which are added."""


class SegmentationTask(Task):
    """One class for each pixel.

    The model maps images (b, c, h, w) to logits (b, k, h, w), and may state a ``tiling``
    (``zoo.structures.Tiling``).  Images may have any size: they are padded by mirroring, run, and
    cut, and what was added enters no loss and no metric.  A batch's ``masks`` (b, h, w) hold class
    numbers, or ``IGNORED``; where they are smaller than the images, the images' frame is context.

    Args:
        classes: names, in the order of the masks' numbers; the first one is the background.
        loss: of each pixel, of each image and class (dice), or both. "border" is cross-entropy
            with the weights of the U-Net paper, which grow between regions that nearly touch.
        ignore_index: number of a class whose pixels count in no loss and no metric.
        head: "softmax", a logit for each class; or "sigmoid", for two classes: one logit, of the
            second.
        class_weights: how much a pixel of each class counts in all losses but dice; "balanced"
            makes every class of the training split count alike.
        focal_gamma: of the focal loss.
        border_weight: w0 of the border's weights.
        border_sigma_px: sigma of the border's weights.
        rand_score: whether evaluations also have the foreground-restricted Rand score of ISBI
            2012; needs SciPy.
        tile_px: larger images are run in tiles that each answer for so many px on a side.
        overlap_px: how far a tile sees beyond that; default: as far as can matter to the network,
            which makes tiles exact. Less is blended, and approximate.

    Raises:
        ConfigError: options that contradict each other or the classes.
    """

    name = "segmentation"
    headline = "val/miou"
    deployed_output = "scores"
    targets = ("masks",)
    least_images = 1

    def __init__(  # noqa: PLR0913  (these are the options of [task])
        self,
        *,
        classes: Sequence[str],
        loss: Literal[
            "cross_entropy", "dice", "cross_entropy+dice", "focal", "border"
        ] = "cross_entropy",
        ignore_index: int = IGNORED,
        head: Literal["softmax", "sigmoid"] = "softmax",
        class_weights: Literal["balanced"] | list[float] | None = None,
        focal_gamma: float = 2.0,
        border_weight: float = 10.0,
        border_sigma_px: float = 5.0,
        rand_score: bool = False,
        tile_px: int = 1024,
        overlap_px: int | None = None,
    ) -> None:
        self.classes = tuple(classes)
        self.loss = loss
        self.ignore_index = ignore_index
        self.head = head
        self.class_weights = class_weights
        self.focal_gamma = focal_gamma
        self.border_weight = border_weight
        self.border_sigma_px = border_sigma_px
        self.rand_score = rand_score
        self.tiles = Tiles(tile_px, overlap_px)
        self._check_options()
        self._weights = class_weights_tensor(class_weights)

    @property
    def num_classes(self) -> int:
        """The logits of a pixel: one for each class, or a single one."""
        return 1 if self.head == "sigmoid" else len(self.classes)

    def step(self, model: nn.Module, batch: Batch) -> Step:
        """One forward pass: the losses, and class numbers (b, h, w) as predictions."""
        masks = self._masks(batch)
        frame_px = (batch.images.shape[-1] - masks.shape[-1]) // 2
        logits = self._logits(model, batch, frame_px=frame_px)
        losses = {name: self._loss(name, logits, masks, batch) for name in LOSSES[self.loss]}
        return Step(losses, logits.detach().argmax(1))

    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        """Pixels that count, or the sum of their weights; of dice, pairs of image and class."""
        masks = self._masks(batch)
        weights = batch.targets.get("weights")
        pixels = pixel_count(masks, self._weights_on(masks.device), weights)
        return {
            name: dice_count(masks, len(self.classes)) if name == "dice" else pixels
            for name in LOSSES[self.loss]
        }

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """For each image "mask", (h, w) uint8 of class numbers, "classes" and "exact".

        "classes" lists what is on the image, the largest first: "label", "index", "pixels" and
        "fraction" of the area.  "exact" is false where tiles saw less than can matter.
        """
        masks = self._logits(model, batch).argmax(1).to(torch.uint8).cpu()
        return [
            self._answer(mask[:height, :width], exact=self.tiles.are_exact(model, height, width))
            for mask, (height, width) in zip(masks, batch.sizes.tolist(), strict=True)
        ]

    def deployed(self, model: nn.Module, images: Tensor) -> Tensor:
        """The score of each class at each pixel, (b, k, h, w); the best class is the mask's."""
        return _two_or_more(dense_logits(model, images, UNCUT)).float().softmax(1)

    @classmethod
    def transforms_schema(cls) -> Callable[..., Transforms]:
        """``zoo.data.transforms.mask_transforms``."""
        return mask_transforms

    def transforms(self, split: str, spec: InputSpec, *, seed: int, **options: Any) -> Transforms:
        """``zoo.data.transforms.mask_transforms``, whose keywords are the options."""
        transforms = mask_transforms(
            train=split == "train",
            spec=spec,
            seed=seed,
            **options,
        )
        if self.loss != "border":
            return transforms
        return weigh_borders(transforms, weight=self.border_weight, sigma_px=self.border_sigma_px)

    def metrics(self, split: str) -> Mapping[str, Metric]:
        """Scores of regions; but for "train" also of boundaries, and the Rand score if wanted."""
        counted: dict[str, Any] = {"classes": self.classes, "ignore_index": self.ignore_index}
        metrics: dict[str, Metric] = {"region-scores": RegionScores(**counted)}
        if split != "train":
            metrics["boundary-scores"] = BoundaryScores(**counted)
        if split != "train" and self.rand_score:
            metrics["rand-score"] = RandScore(**counted)
        return metrics

    def draw(self, image: Image.Image, prediction: Mapping[str, Any]) -> Image.Image:
        """The image under the colours of its classes, over a strip that names them."""
        found = prediction["classes"]
        lines = [f"{shortened(of['label'])} {100 * of['fraction']:.1f} %" for of in found]
        picture = overlay(image, prediction["mask"].numpy())
        return caption(picture, lines, colours=[of["index"] for of in found])

    def pictures(self, image: Image.Image, prediction: Mapping[str, Any]) -> dict[str, Image.Image]:
        """The picture, and the mask: a palette image whose pixels are class numbers."""
        return {
            "picture": self.draw(image, prediction),
            "mask": mask_image(prediction["mask"].numpy()),
        }

    def describe(self, prediction: Mapping[str, Any]) -> str:
        """The classes on the image, the largest first, each with its share of the area."""
        shares = "  ".join(
            f"{of['label']} {100 * of['fraction']:.1f} %" for of in prediction["classes"]
        )
        return shares if prediction["exact"] else f"{shares}  (approximate: the tiles overlap less)"

    def as_json(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """Height, width and the area of each class; the mask itself is what ``--save`` writes."""
        height, width = prediction["mask"].shape
        return {
            "height_px": height,
            "width_px": width,
            "classes": prediction["classes"],
            "exact": prediction["exact"],
        }

    def check_targets(self, splits: Mapping[str, Dataset]) -> None:
        """See by the first image of each split that there are masks.

        Raises:
            DataError: there are boxes instead, or nothing of use.
        """
        if any(isinstance(dataset, BoxedFiles) for dataset in splits.values()):
            raise DataError(
                "the data are read as boxes, and segmentation is learned from masks",
                "For the segmentations of COCO files say --data coco-masks:PATH.",
            )
        super().check_targets(splits)

    def check_data(self, splits: Mapping[str, Dataset]) -> Sequence[str]:
        """Shares of the classes; settles what "balanced" class weights are.

        Raises:
            DataError: fewer than two classes, masks that cannot be used, or a class to be
                balanced without a pixel in training.
        """
        if len(self.classes) < 2:
            raise DataError(
                f"the masks hold one class, {self.classes[0]!r}" if self.classes else "no classes",
                "Segmentation needs two or more; the background is one of them.",
            )
        check_usable(splits)
        pixels = {split: class_pixels(dataset) for split, dataset in splits.items()}
        if self.class_weights == "balanced" and "train" in pixels:
            counts = pixels["train"]
            known = None if counts is None else counts[:-1]
            self.class_weights = balanced_weights(self.classes, known)
            self._weights = torch.tensor(self.class_weights)
        return [*share_lines(self.classes, pixels), *unused_lines(splits)]

    def options(self) -> dict[str, Any]:
        """The options of this task."""
        return {
            "loss": self.loss,
            "ignore_index": self.ignore_index,
            "head": self.head,
            "class_weights": self.class_weights,
            "focal_gamma": self.focal_gamma,
            "border_weight": self.border_weight,
            "border_sigma_px": self.border_sigma_px,
            "rand_score": self.rand_score,
            "tile_px": self.tiles.tile_px,
            "overlap_px": self.tiles.overlap_px,
        }

    def _masks(self, batch: Batch) -> Tensor:
        """The masks with everything that does not count as ``IGNORED``."""
        masks = batch.targets["masks"]
        if self.ignore_index == IGNORED:
            return masks
        return masks.masked_fill(masks == self.ignore_index, IGNORED)

    def _logits(self, model: nn.Module, batch: Batch, *, frame_px: int = 0) -> Tensor:
        """(b, k, h, w) with at least two k.

        In training, the images of one size in one pass, uncut.  In evaluation each by itself:
        kernels round otherwise in a larger batch, and among millions of pixels some answers would
        change.
        """
        groups = _groups(batch) if model.training else [[row] for row in range(len(batch))]
        tiles = UNCUT if model.training else self.tiles
        sizes = batch.sizes.tolist()
        parts: dict[int, Tensor] = {}
        for rows in groups:
            height, width = sizes[rows[0]]
            images = batch.images[..., :height, :width]
            if len(rows) < len(batch):
                # One by one: as an index the list would be copied to the device, and waited for.
                images = torch.stack([images[row] for row in rows])
            logits = _two_or_more(dense_logits(model, images, tiles, frame_px=frame_px))
            if len(groups) == 1:
                return logits
            padding = (0, batch.images.shape[-1] - width, 0, batch.images.shape[-2] - height)
            parts |= dict(zip(rows, functional.pad(logits, padding), strict=True))
        return torch.stack([parts[row] for row in range(len(batch))])

    def _loss(self, name: str, logits: Tensor, masks: Tensor, batch: Batch) -> LossSum:
        if name == "dice":
            return dice(logits, masks)
        return cross_entropy(
            logits,
            masks,
            class_weights=self._weights_on(masks.device),
            weights=batch.targets.get("weights"),
            focus=self.focal_gamma if name == "focal" else 0.0,
        )

    def _answer(self, mask: Tensor, *, exact: bool) -> dict[str, Any]:
        counts = torch.bincount(mask.flatten(), minlength=len(self.classes))
        found = [
            {
                "label": self.classes[index],
                "index": index,
                "pixels": pixels,
                "fraction": pixels / mask.numel(),
            }
            for index, pixels in enumerate(counts.tolist())
            if pixels
        ]
        found.sort(key=lambda of: -of["pixels"])
        return {"mask": mask.clone(), "classes": found, "exact": exact}

    def _weights_on(self, device: torch.device) -> Tensor | None:
        check_settled(self.class_weights)
        if self._weights is not None and self._weights.device != device:
            self._weights = self._weights.to(device)
        return self._weights

    def _check_options(self) -> None:
        if self.loss not in LOSSES:
            raise ConfigError(f"task.loss: unknown loss {self.loss!r}", f"Use {', '.join(LOSSES)}.")
        if self.head == "sigmoid" and len(self.classes) != 2:
            raise ConfigError(
                f"task.head = sigmoid tells two classes apart, and there are {len(self.classes)}",
                "Use task.head=softmax.",
            )
        check_class_weights(self.class_weights, len(self.classes))
        if self.tiles.tile_px < 1 or (self.tiles.overlap_px or 0) < 0:
            raise ConfigError("task.tile_px must be at least 1, and task.overlap_px not negative")
        if min(self.focal_gamma, self.border_weight) < 0 or self.border_sigma_px <= 0:
            raise ConfigError(
                "task.focal_gamma and task.border_weight must not be negative, and"
                " task.border_sigma_px must be positive"
            )


def _groups(batch: Batch) -> list[list[int]]:
    """The rows of a batch, those whose images have one size together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, size in enumerate(batch.sizes.tolist()):
        groups.setdefault(tuple(size), []).append(row)
    return list(groups.values())


def _two_or_more(logits: Tensor) -> Tensor:
    """One logit z as the pair (0, z), whose softmax is the sigmoid of z."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)
