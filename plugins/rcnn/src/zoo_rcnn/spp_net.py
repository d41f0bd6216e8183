"""SPP-net: spatial pyramid pooling in deep convolutional networks (He 2014, arXiv:1406.4729).

As a detector (section 4):

1. The convolutions run once over the whole image, of any size.
2. The window of the feature map under each region is pooled into a pyramid of 50 bins.
3. Two fully connected layers and the two sibling layers go on from that vector of fixed length.

As a classifier (section 3), the pyramid of the whole map takes the place of the mean over it, and
the network takes images of any size and shape.

Shapes: b images, c channels, h w height and width in px, r regions, d features, k classes.

Differs from the paper: one network, trained end to end, has the scores (there SVMs) and the boxes;
the convolutions learn too (``--freeze backbone`` is the paper's way); one scale; fc6 and fc7 are
narrower; images without objects give background too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from zoo.models import build_backbone
from zoo.structures import Backbone, DetectorOutput, SampleKeys
from zoo_rcnn.backbones import Norm, SingleMapBackbone, build_up_to_stage
from zoo_rcnn.detections import DetectionRule
from zoo_rcnn.matching import Matching
from zoo_rcnn.proposals import outside_proposals
from zoo_rcnn.pyramid_pooling import LEVELS, count_bins, pyramid_pool, pyramid_pool_regions
from zoo_rcnn.roi_heads import BoxPredictor, RoIHeads, TwoLayerHead
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Targets, image_sizes


class SPPNet(nn.Module):
    """One pass over the image, a pyramid for each region.

    Args:
        backbone: its last map is pooled.
        num_classes: classes as users name them.
        sampling: of the regions that are learned from.
        levels: bins on each side, of each level of the pyramid.
        head_width: of fc6 and fc7.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("roi_heads.box_predictor",)
    typical_proposals: ClassVar[int] = 2000

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        sampling: Sampling,
        levels: tuple[int, ...] = LEVELS,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.backbone = SingleMapBackbone(backbone)
        self.roi_heads = RoIHeads(
            TwoLayerHead(self.backbone.channels * count_bins(levels), head_width),
            BoxPredictor(head_width, num_classes),
            matching=Matching(foreground=0.5, background=(0.1, 0.5)),
            sampling=sampling,
            rule=DetectionRule(nms_iou=0.3),
        )
        self.roi_heads.box_predictor.initialise_as_published()

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Targets | None = None,
        *,
        keys: SampleKeys | None = None,
        detect: bool = True,
    ) -> DetectorOutput:
        """Look at every proposal.

        Args:
            images: (b, c, h, w), normalised, 0 where padded.
            sizes: (b, 2) each image's own height and width in px.
            targets: ``proposals`` of the images, and ``boxes`` to learn from.
            keys: of the images, for the choice of regions to learn from.
            detect: whether detections are wanted.
        """
        proposals = outside_proposals(image_sizes(sizes), targets, images.device)
        [feature_map] = self.backbone(images)
        pool = partial(self.pool, feature_map)
        return self.roi_heads.answer(pool, proposals, sizes, targets, keys, detect=detect)

    def pool(self, feature_map: Tensor, rois: Tensor) -> Tensor:
        """The pyramid under each region: map (b, c, h, w), rois (r, 5) -> (r, c, 50)."""
        [stride] = self.backbone.strides
        return pyramid_pool_regions(feature_map, rois, stride=stride, levels=self.levels)

    def typical_pass(self, images: Tensor) -> None:
        """The work for images (b, c, h, w) with 2,000 proposals each."""
        [feature_map] = self.backbone(images)
        count = len(images) * self.typical_proposals
        self.roi_heads(feature_map.new_zeros(count, feature_map.shape[1], count_bins(self.levels)))


class SPPClassifier(nn.Module):
    """A backbone, the pyramid of its last map, one linear layer: images of any size to logits."""

    head_parts: ClassVar[tuple[str, ...]] = ("fc",)

    def __init__(
        self, backbone: Backbone, *, num_classes: int, levels: tuple[int, ...] = LEVELS
    ) -> None:
        super().__init__()
        self.levels = levels
        self.backbone = SingleMapBackbone(backbone)
        self.fc = nn.Linear(self.backbone.channels * count_bins(levels), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w), normalised, of any h and w -> logits (b, k)."""
        logits: Tensor = self.fc(self.embed(images))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w) -> the pooled pyramid (b, d)."""
        [feature_map] = self.backbone(images)
        return pyramid_pool(feature_map, self.levels).flatten(1)


def spp_net(  # noqa: PLR0913 - each is an option for the user
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    stage: str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    norm: Norm = "batch",
    norm_eps: float | None = None,
    levels: tuple[int, ...] = LEVELS,
    head_width: int = 1024,
    samples: int = 64,
    foreground: float = 0.25,
) -> SPPNet:
    """The detector on a backbone of the registry.

    Args:
        num_classes: classes as users name them; the background comes on top.
        in_channels: of the images.
        backbone: name of a model with stages.
        stage: whose map is pooled; default: the coarsest of a stride of at most 16.
        backbone_options: of the backbone's model.
        norm: "frozen" for batch norms that are constants, as published weights need it.
        norm_eps: of frozen norms.
        levels: bins on each side, of each level of the pyramid.
        head_width: of fc6 and fc7 (in the paper 4096).
        samples: regions of each image that are learned from.
        foreground: largest share of them for regions that hold an object (section 4.1).
    """
    stages = build_up_to_stage(
        backbone,
        stage,
        norm=norm,
        norm_eps=norm_eps,
        in_channels=in_channels,
        options=backbone_options,
    )
    return SPPNet(
        stages,
        num_classes=num_classes,
        sampling=Sampling(samples, foreground, stream="rois"),
        levels=levels,
        head_width=head_width,
    )


def spp_classifier(
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    backbone_options: Mapping[str, Any] | None = None,
    levels: tuple[int, ...] = LEVELS,
) -> SPPClassifier:
    """A classifier of images of any size, on a backbone of the registry.

    Args:
        num_classes: classes that the logits are for.
        in_channels: of the images.
        backbone: name of a model with stages; its last map is pooled.
        backbone_options: of that model.
        levels: bins on each side, of each level of the pyramid.
    """
    stages = build_backbone(backbone, in_channels=in_channels, **(backbone_options or {}))
    return SPPClassifier(stages, num_classes=num_classes, levels=levels)
