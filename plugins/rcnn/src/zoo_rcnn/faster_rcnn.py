"""Faster R-CNN (Ren 2015, arXiv:1506.01497), on one map or on a pyramid of them.

The feature pyramid is that of Lin 2017 (arXiv:1612.03144).

1. The convolutions run once over the whole image.
2. A region proposal network on their maps says where objects may be: proposals cost next to
   nothing, and learn.
3. The rest is Fast R-CNN on these proposals: pooled features, two fully connected layers, a class
   and a box.

With a pyramid, anchors of one size belong to each level, and a region is pooled from the level that
fits its size.

With ResNet-50 and a pyramid it is torchvision's ``fasterrcnn_resnet50_fpn``: its state dicts load
unchanged, and losses and detections are equal from the normalised, padded batch on.

Shapes: b images, c channels, h w height and width in px, r regions, p proposals, k classes.

Differs from the papers: both networks learn together from the start (the paper's "approximate joint
training"); RoIAlign in place of RoI pooling; fc6 and fc7 have no dropout; the pyramid takes all
stages, and for its extra level every second px of the coarsest map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.models import build_backbone
from zoo.structures import Detections, DetectorOutput, LossSum, SampleKeys
from zoo_rcnn.anchors import ASPECT_RATIOS, Anchors
from zoo_rcnn.backbones import Norm, SingleMapBackbone, build_up_to_stage
from zoo_rcnn.detections import DetectionRule
from zoo_rcnn.fpn import PyramidBackbone, align_on_pyramid
from zoo_rcnn.matching import Matching
from zoo_rcnn.roi_heads import BoxPredictor, RoIHeads, TwoLayerHead
from zoo_rcnn.rpn import SMOOTH_L1_BETA, ProposalLimits, RegionProposalNetwork
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Targets, image_sizes, keys_of, truths

BINS = 7
"""On each side of a pooled region."""


class FasterRCNN(nn.Module):
    """A backbone, a network that proposes regions, and one that names them.

    Args:
        backbone: gives maps of one or more levels.
        rpn: proposes regions from the maps of all levels.
        num_classes: classes as users name them.
        sampling: of the regions that are learned from.
        head_width: of fc6 and fc7.
        learning: limits on the proposals of which regions to learn from are chosen.
        detecting: limits on the proposals in which objects are looked for.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("roi_heads.box_predictor",)

    def __init__(
        self,
        backbone: SingleMapBackbone | PyramidBackbone,
        rpn: RegionProposalNetwork,
        *,
        num_classes: int,
        sampling: Sampling,
        head_width: int,
        learning: ProposalLimits,
        detecting: ProposalLimits,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = rpn
        self.learning = learning
        self.detecting = detecting
        self.roi_heads = RoIHeads(
            TwoLayerHead(backbone.channels * BINS**2, head_width),
            BoxPredictor(head_width, num_classes),
            matching=Matching(foreground=0.5, background=(0.0, 0.5)),
            sampling=sampling,
            rule=DetectionRule(),
            smooth_l1_beta=SMOOTH_L1_BETA,
        )

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Targets | None = None,
        *,
        keys: SampleKeys | None = None,
        detect: bool = True,
    ) -> DetectorOutput:
        """Propose and look.

        Args:
            images: (b, c, h, w), normalised, 0 where padded.
            sizes: (b, 2) each image's own height and width in px.
            targets: ``boxes`` to learn from.
            keys: of the images, for the choice of anchors and regions to learn from.
            detect: whether detections are wanted.
        """
        maps = self.backbone(images)
        judged = self.rpn(maps, (images.shape[2], images.shape[3]))
        pool = partial(self.pool, maps)
        shapes = image_sizes(sizes)
        losses: dict[str, LossSum] = {}
        detections: list[Detections] = []
        if targets is not None and "boxes" in targets:
            objects, drawn = truths(targets), keys_of(keys, len(images))
            proposals, _ = self.rpn.proposals(judged, shapes, self.learning)
            losses = {
                **self.rpn.losses(judged, objects, drawn),
                **self.roi_heads.losses(pool, proposals, objects, drawn),
            }
        if detect:
            proposals, _ = self.rpn.proposals(judged, shapes, self.detecting)
            detections = self.roi_heads.detections(pool, proposals, shapes)
        return DetectorOutput(losses, detections)

    def pool(self, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        """RoIAlign: maps (b, c, h, w) of the levels, rois (r, 5) -> (r, c, 7, 7)."""
        strides = self.backbone.strides
        return align_on_pyramid(maps[: len(strides)], rois, strides=strides, bins=BINS)

    @torch.no_grad()
    def propose(self, images: Tensor, sizes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The boxes (p, 4) and scores (p,) of each image's proposals, for other detectors."""
        judged = self.rpn(self.backbone(images), (images.shape[2], images.shape[3]))
        return self.rpn.proposals(judged, image_sizes(sizes), self.detecting)

    def typical_pass(self, images: Tensor) -> None:
        """The work for images (b, c, h, w) with as many proposals as detections start from."""
        maps = self.backbone(images)
        self.rpn(maps, (images.shape[2], images.shape[3]))
        count = len(images) * self.detecting.after_nms
        self.roi_heads(maps[0].new_zeros(count, maps[0].shape[1], BINS, BINS))


def faster_rcnn(  # noqa: PLR0913 - each is an option for the user
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    stage: str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    norm: Norm = "batch",
    norm_eps: float | None = None,
    anchor_sizes: tuple[float, ...] | None = None,
    aspect_ratios: tuple[float, ...] = ASPECT_RATIOS,
    head_width: int = 1024,
    proposals_train: int = 2000,
    proposals_test: int = 300,
    anchor_samples: int = 256,
    samples: int = 64,
) -> FasterRCNN:
    """Faster R-CNN on one map of a backbone of the registry.

    Args:
        num_classes: classes as users name them; the background comes on top.
        in_channels: of the images.
        backbone: name of a model with stages.
        stage: whose map is used; default: the coarsest of a stride of at most 16.
        backbone_options: of the backbone's model.
        norm: "frozen" for batch norms that are constants, as published weights need it.
        norm_eps: of frozen norms.
        anchor_sizes: in px; default: 8, 16 and 32 times the map's stride (paper: 128, 256, 512).
        aspect_ratios: height by width, of every size.
        head_width: of fc6 and fc7 (in the paper 4096).
        proposals_train: of an image, of which regions to learn from are chosen.
        proposals_test: of an image, in which objects are looked for.
        anchor_samples: anchors of each image that are learned from, half of them on objects.
        samples: regions of each image that are learned from, a quarter of them objects.
    """
    stages = build_up_to_stage(
        backbone,
        stage,
        norm=norm,
        norm_eps=norm_eps,
        in_channels=in_channels,
        options=backbone_options,
    )
    body = SingleMapBackbone(stages)
    [stride] = body.strides
    sizes = anchor_sizes or (8.0 * stride, 16.0 * stride, 32.0 * stride)
    anchor_sampling = Sampling(anchor_samples, 0.5, stream="anchors")
    return FasterRCNN(
        body,
        RegionProposalNetwork(body.channels, Anchors((sizes,), aspect_ratios), anchor_sampling),
        num_classes=num_classes,
        sampling=Sampling(samples, 0.25, stream="rois"),
        head_width=head_width,
        # Section 3.3 keeps 2,000 of some 6,000 anchors that lie inside the image; the authors'
        # code, with those across its border, lets 12,000 and 6,000 in: 6 and 20 times as many.
        learning=ProposalLimits(6 * proposals_train, proposals_train),
        detecting=ProposalLimits(20 * proposals_test, proposals_test),
    )


def faster_rcnn_fpn(  # noqa: PLR0913 - each is an option for the user
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    stages: tuple[str, ...] | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    norm: Norm = "batch",
    norm_eps: float | None = None,
    fpn_channels: int = 256,
    anchor_sizes: tuple[float, ...] | None = None,
    aspect_ratios: tuple[float, ...] = ASPECT_RATIOS,
    head_width: int = 1024,
    proposals_train: int = 2000,
    proposals_test: int = 1000,
    anchor_samples: int = 256,
    samples: int = 512,
) -> FasterRCNN:
    """Faster R-CNN on a feature pyramid over a backbone of the registry.

    Args:
        num_classes: classes as users name them; the background comes on top.
        in_channels: of the images.
        backbone: name of a model with stages.
        stages: whose maps make the pyramid; default: all.
        backbone_options: of the backbone's model.
        norm: "frozen" for batch norms that are constants, as published weights need it.
        norm_eps: of frozen norms; torchvision's COCO weights need 0.
        fpn_channels: of every level.
        anchor_sizes: in px, one for each level and the extra one; default: 8 times the stride of
            each, for ResNets 32, 64, 128, 256 and 512.
        aspect_ratios: height by width, of every size.
        head_width: of fc6 and fc7.
        proposals_train: of each level and of an image, of which regions to learn from are chosen.
        proposals_test: of each level and of an image, in which objects are looked for.
        anchor_samples: anchors of each image that are learned from, half of them on objects.
        samples: regions of each image that are learned from, a quarter of them objects.

    Raises:
        ConfigError: another number of anchor sizes than levels.
    """
    body = PyramidBackbone(
        build_backbone(
            backbone,
            out=stages,
            norm=norm,
            norm_eps=norm_eps,
            in_channels=in_channels,
            **(backbone_options or {}),
        ),
        fpn_channels,
    )
    strides = (*body.strides, 2 * body.strides[-1])
    sizes = anchor_sizes or tuple(8.0 * stride for stride in strides)
    if len(sizes) != len(strides):
        raise ConfigError(
            f"model.anchor_sizes has {len(sizes)} sizes for {len(strides)} levels",
            f"Give one for each stride: {', '.join(map(str, strides))} px.",
        )
    anchors = Anchors(tuple((size,) for size in sizes), aspect_ratios)
    anchor_sampling = Sampling(anchor_samples, 0.5, stream="anchors")
    return FasterRCNN(
        body,
        RegionProposalNetwork(body.channels, anchors, anchor_sampling),
        num_classes=num_classes,
        sampling=Sampling(samples, 0.25, stream="rois"),
        head_width=head_width,
        learning=ProposalLimits(proposals_train, proposals_train),
        detecting=ProposalLimits(proposals_test, proposals_test),
    )
