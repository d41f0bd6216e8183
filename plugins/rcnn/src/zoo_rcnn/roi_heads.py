"""What all four detectors do with their regions: name them, refine them, learn from them.

The detectors differ in how a region becomes a feature.  That step is given to the methods here as
a function ``pool`` from regions to features.  Names of parameters are torchvision's.

Shapes: b images, r regions of all images, d features, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss

from zoo.structures import Detections, DetectorOutput, LossSum, SampleKeys
from zoo_rcnn.box_coder import UNIT_SPREAD, decode, encode
from zoo_rcnn.detections import DetectionRule
from zoo_rcnn.matching import Matching
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import (
    BACKGROUND,
    Targets,
    Truth,
    image_sizes,
    keys_of,
    to_rois,
    truths,
)

Pool = Callable[[Tensor], Tensor]
"""Regions (r, 5), index of the image and x1 y1 x2 y2 in px -> features (r, ...)."""


class TwoLayerHead(nn.Module):
    """Two fully connected layers: fc6 and fc7 of AlexNet and VGG, which all the papers use."""

    def __init__(self, in_features: int, width: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_features, width)
        self.fc7 = nn.Linear(width, width)

    def forward(self, pooled: Tensor) -> Tensor:
        """(r, ...) -> (r, width)."""
        hidden = self.fc6(pooled.flatten(1)).relu()
        features: Tensor = self.fc7(hidden).relu()
        return features


class BoxPredictor(nn.Module):
    """Two sibling layers: a score, and the offsets of a box, for each class."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_features, num_classes + 1)
        self.bbox_pred = nn.Linear(in_features, 4 * (num_classes + 1))

    def initialise_as_published(self) -> None:
        """Girshick 2015, section 2.3: normal, 0.01 for scores and 0.001 for offsets."""
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(r, d) -> logits (r, k + 1), background first, and offsets (r, k + 1, 4)."""
        return self.cls_score(features), self.bbox_pred(features).unflatten(1, (-1, 4))


class RoIHeads(nn.Module):
    """The end of a detector.

    Args:
        box_head: from what was pooled to features (r, d).
        box_predictor: from features to scores and offsets.
        matching: which object a region stands for.
        sampling: of the regions that are learned from.
        rule: what becomes a detection.
        smooth_l1_beta: where the loss of an offset turns from square to linear.
        chunk: regions that are looked at together when nothing is learned.
    """

    def __init__(
        self,
        box_head: nn.Module,
        box_predictor: BoxPredictor,
        *,
        matching: Matching,
        sampling: Sampling,
        rule: DetectionRule,
        smooth_l1_beta: float = 1.0,
        chunk: int = 256,
    ) -> None:
        super().__init__()
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.matching = matching
        self.sampling = sampling
        self.rule = rule
        self.smooth_l1_beta = smooth_l1_beta
        self.chunk = chunk

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled regions (r, ...) -> logits (r, k + 1) and offsets (r, k + 1, 4), float32."""
        logits, offsets = self.box_predictor(self.box_head(pooled))
        return logits.float(), offsets.float()

    def answer(
        self,
        pool: Pool,
        proposals: Sequence[Tensor],
        sizes: Tensor,
        targets: Targets | None,
        keys: SampleKeys | None,
        *,
        detect: bool,
    ) -> DetectorOutput:
        """The output of a detector whose proposals come from outside.

        Args:
            pool: from regions to what the head takes.
            proposals: (p, 4) of each image.
            sizes: (b, 2) height and width of each image without padding.
            targets: with ``boxes`` there are losses.
            keys: of the images, for the choice of regions.
            detect: whether there are detections.
        """
        losses: dict[str, LossSum] = {}
        detections: list[Detections] = []
        if targets is not None and "boxes" in targets:
            drawn = keys_of(keys, len(sizes))
            losses = self.losses(pool, proposals, truths(targets), drawn)
        if detect:
            detections = self.detections(pool, proposals, image_sizes(sizes))
        return DetectorOutput(losses, detections)

    def losses(
        self,
        pool: Pool,
        proposals: Sequence[Tensor],
        truths: Sequence[Truth],
        keys: SampleKeys,
    ) -> dict[str, LossSum]:
        """The multi-task loss (Girshick 2015, section 2.3): the class, and the box of its object.

        The objects' own boxes join the proposals.  Each image adds the sum over its sampled
        regions divided by the quota; the count is the number of images.

        Args:
            pool: from regions to what the head takes.
            proposals: (p, 4) of each image.
            truths: of each image.
            keys: of each image, for the choice of regions.
        """
        regions, labels, boxes = self._samples(proposals, truths, keys)
        logits, offsets = self(pool(to_rois(regions)))
        classification = cross_entropy(logits, labels, reduction="sum")
        positive = torch.where(labels > BACKGROUND)[0]
        regression = smooth_l1_loss(
            offsets[positive, labels[positive]],
            encode(boxes[positive], torch.cat(regions)[positive], UNIT_SPREAD),
            reduction="sum",
            beta=self.smooth_l1_beta,
        )
        quota, count = self.sampling.quota, len(truths)
        return {
            "classes": LossSum(classification / quota, count),
            "boxes": LossSum(regression / quota, count),
        }

    @torch.no_grad()
    def detections(
        self, pool: Pool, proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """What the regions show.

        Args:
            pool: from regions to what the head takes.
            proposals: (p, 4) of each image.
            sizes: height and width of each image without padding.
        """
        # All at once, the pooled maps of 2,000 regions would take some 200 MB.
        judged = [self(pool(part)) for part in to_rois(proposals).split(self.chunk)]
        logits, offsets = map(torch.cat, zip(*judged, strict=True))
        boxes = decode(offsets, torch.cat(list(proposals)), UNIT_SPREAD)
        counts = [len(regions) for regions in proposals]
        return [
            self.rule(*found)
            for found in zip(
                boxes.split(counts), logits.softmax(dim=1).split(counts), sizes, strict=True
            )
        ]

    def _samples(
        self, proposals: Sequence[Tensor], truths: Sequence[Truth], keys: SampleKeys
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """The sampled regions of each image, and labels (r,) and boxes (r, 4) of all of them."""
        regions, labels, boxes = [], [], []
        for proposed, truth, key in zip(proposals, truths, keys, strict=True):
            candidates = torch.cat([proposed, truth.boxes])
            objects, label = self.matching(candidates, truth)
            chosen = self.sampling(label, key, seed=keys.seed)
            regions.append(candidates[chosen])
            labels.append(label[chosen])
            # Without objects there is nothing to look up, and no box that anybody reads.
            known = truth.boxes if len(truth.boxes) else candidates
            boxes.append(known[objects[chosen]])
        return regions, torch.cat(labels), torch.cat(boxes)
