"""The region proposal network (Ren 2015, arXiv:1506.01497, section 3.1).

A small network slides over the feature maps and says of each anchor whether it lies on an object
of any class, and how to move it there.  The best, after non-maximum suppression, are the proposals.

Names of parameters, their initialisation and the results are torchvision's.

Shapes: b images, c channels, h w height and width of a map, a anchors of all levels, p proposals.

Differs from the paper: anchors across the border of the image take part, and proposals are cut at
the border; one sigmoid for each anchor where the paper has a softmax over two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from zoo.structures import LossSum, SampleKeys
from zoo_rcnn.anchors import Anchors
from zoo_rcnn.box_coder import clip, decode, encode, is_larger_than
from zoo_rcnn.matching import Matching
from zoo_rcnn.operators import suppress
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Truth

SMOOTH_L1_BETA = 1 / 9
"""Where the loss of an offset turns from square to linear (the authors' code: sigma = 3)."""

SMALLEST_PX = 1e-3
"""Proposals with a side below this have no area left after they were cut at the border."""


class RPNHead(nn.Module):
    """A 3x3 convolution, then a score and four offsets for each anchor of a cell."""

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        # Two levels of Sequential, for torchvision's names.
        convolution = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(convolution, nn.ReLU(inplace=True)))
        self.cls_logits = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.bbox_pred = nn.Conv2d(channels, 4 * num_anchors, kernel_size=1)
        for layer in (convolution, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (b, c, h, w) of the levels -> logits (b, a) and offsets (b, a, 4)."""
        logits, offsets = [], []
        for level in maps:
            hidden = self.conv(level)
            # Rows, columns, anchors: the order of the anchors themselves.
            logits.append(self.cls_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            offsets.append(
                self.bbox_pred(hidden).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
            )
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


@dataclass(frozen=True, slots=True)
class RPNOutput:
    """What the network says of each anchor.

    Attributes:
        anchors: (a, 4), the same for every image of a batch.
        logits: (b, a) that the anchor lies on an object.
        offsets: (b, a, 4) from the anchor to the object.
        level_sizes: number of anchors of each level.
    """

    anchors: Tensor
    logits: Tensor
    offsets: Tensor
    level_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """How many anchors can become proposals.

    Attributes:
        before_nms: the best of each level, that enter non-maximum suppression.
        after_nms: the best of an image, of those that are left.
    """

    before_nms: int
    after_nms: int


class RegionProposalNetwork(nn.Module):
    """The head, and how it learns and proposes.

    Args:
        channels: of the maps.
        anchors: on the maps of all levels.
        sampling: of the anchors that are learned from.
        nms_iou: proposals of a level that overlap a better one by more are dropped.
    """

    matching = Matching(foreground=0.7, background=(0.0, 0.3), keep_best=True)

    def __init__(
        self, channels: int, anchors: Anchors, sampling: Sampling, *, nms_iou: float = 0.7
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.sampling = sampling
        self.nms_iou = nms_iou
        self.head = RPNHead(channels, anchors.num_per_cell)

    def forward(self, maps: Sequence[Tensor], image_size: tuple[int, int]) -> RPNOutput:
        """Judge every anchor.

        Args:
            maps: (b, c, h, w) of each level.
            image_size: height and width of the padded images in px.
        """
        anchors = self.anchors(image_size, maps)
        logits, offsets = self.head(maps)
        return RPNOutput(torch.cat(anchors), logits, offsets, tuple(map(len, anchors)))

    def losses(
        self, output: RPNOutput, truths: Sequence[Truth], keys: SampleKeys
    ) -> dict[str, LossSum]:
        """The multi-task loss of equation 1: object or not, and the offsets of those that are.

        Each image adds the sum over its sampled anchors divided by the quota; the count is the
        number of images.
        """
        objectness, regression = output.logits.sum() * 0, output.offsets.sum() * 0
        for logits, offsets, truth, key in zip(
            output.logits.float(), output.offsets.float(), truths, keys, strict=True
        ):
            objects, labels = self.matching(output.anchors, truth)
            chosen = self.sampling(labels, key, seed=keys.seed)
            on_object = (labels[chosen] > 0).float()
            objectness = objectness + binary_cross_entropy_with_logits(
                logits[chosen], on_object, reduction="sum"
            )
            positive = chosen[labels[chosen] > 0]
            regression = regression + smooth_l1_loss(
                offsets[positive],
                encode(truth.boxes[objects[positive]], output.anchors[positive]),
                reduction="sum",
                beta=SMOOTH_L1_BETA,
            )
        return {
            "rpn_objectness": LossSum(objectness / self.sampling.quota, len(truths)),
            "rpn_boxes": LossSum(regression / self.sampling.quota, len(truths)),
        }

    @torch.no_grad()
    def proposals(
        self,
        output: RPNOutput,
        sizes: Sequence[tuple[int, int]],
        limits: ProposalLimits,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The boxes (p, 4) and scores (p,) of the best proposals of each image, best first.

        No gradient flows back through them: the coordinates of a region are taken as given.

        Args:
            output: of the network.
            sizes: height and width of each image without padding.
            limits: on their number.
        """
        best, levels = self._best_of_levels(output.logits, output.level_sizes, limits.before_nms)
        boxes, scores = [], []
        for chosen, logits, offsets, (height, width) in zip(
            best, output.logits, output.offsets, sizes, strict=True
        ):
            found = decode(offsets[chosen], output.anchors[chosen])
            found = clip(found, height, width)
            sound = is_larger_than(found, SMALLEST_PX)
            found, score = found[sound], logits[chosen][sound].float().sigmoid()
            kept = suppress(found, score, levels[sound], self.nms_iou)[: limits.after_nms]
            boxes.append(found[kept])
            scores.append(score[kept])
        return boxes, scores

    @staticmethod
    def _best_of_levels(
        logits: Tensor, level_sizes: Sequence[int], count: int
    ) -> tuple[Tensor, Tensor]:
        """Indices (b, e) of the best anchors of each level, and the level (e,) of each."""
        indices, levels, first = [], [], 0
        for level, part in enumerate(logits.split(list(level_sizes), dim=1)):
            top = part.topk(min(count, part.shape[1]), dim=1).indices
            indices.append(top + first)
            levels.append(torch.full_like(top[0], level))
            first += part.shape[1]
        return torch.cat(indices, dim=1), torch.cat(levels)
