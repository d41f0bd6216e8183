"""Fast R-CNN (Girshick 2015, arXiv:1504.08083).

1. The convolutions run once over the whole image.
2. RoI pooling turns the part of the feature map under each region into 7 x 7 cells: SPP-net's
   pyramid with one level, through which gradients flow back into the convolutions.
3. Two fully connected layers lead to two siblings: a softmax over the classes and the background,
   and a box for each class.  One loss trains all of it in one stage.
4. A mini-batch is few images with many regions of each, which share the convolutions
   (hierarchical sampling, section 2.3: 2 images, 64 regions of each, a quarter of them objects).

Shapes: b images, c channels, h w height and width in px, r regions, k classes.

Differs from the paper: fc6 and fc7 are narrower and without dropout; images without objects give
background too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from zoo.structures import Backbone, DetectorOutput, SampleKeys
from zoo_rcnn.backbones import Norm, SingleMapBackbone, build_up_to_stage
from zoo_rcnn.detections import DetectionRule
from zoo_rcnn.matching import Matching
from zoo_rcnn.operators import roi_max_pool
from zoo_rcnn.proposals import outside_proposals
from zoo_rcnn.roi_heads import BoxPredictor, RoIHeads, TwoLayerHead
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Targets, image_sizes

BINS = 7
"""On each side of a pooled region."""


class FastRCNN(nn.Module):
    """One pass over the image, RoI pooling for each region.

    Args:
        backbone: its last map is pooled.
        num_classes: classes as users name them.
        sampling: of the regions that are learned from.
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
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        self.backbone = SingleMapBackbone(backbone)
        self.roi_heads = RoIHeads(
            TwoLayerHead(self.backbone.channels * BINS**2, head_width),
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
        """RoI pooling: map (b, c, h, w), rois (r, 5) -> (r, c, 7, 7)."""
        [stride] = self.backbone.strides
        return roi_max_pool(feature_map, rois, bins=BINS, scale=1 / stride)

    def typical_pass(self, images: Tensor) -> None:
        """The work for images (b, c, h, w) with 2,000 proposals each."""
        [feature_map] = self.backbone(images)
        count = len(images) * self.typical_proposals
        self.roi_heads(feature_map.new_zeros(count, feature_map.shape[1], BINS, BINS))


def fast_rcnn(  # noqa: PLR0913 - each is an option for the user
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    stage: str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    norm: Norm = "batch",
    norm_eps: float | None = None,
    head_width: int = 1024,
    samples: int = 64,
    foreground: float = 0.25,
) -> FastRCNN:
    """Fast R-CNN on a backbone of the registry.

    Args:
        num_classes: classes as users name them; the background comes on top.
        in_channels: of the images.
        backbone: name of a model with stages.
        stage: whose map is pooled; default: the coarsest of a stride of at most 16.
        backbone_options: of the backbone's model.
        norm: "frozen" for batch norms that are constants, as published weights need it.
        norm_eps: of frozen norms.
        head_width: of fc6 and fc7 (in the paper 4096).
        samples: regions of each image that are learned from.
        foreground: largest share of them for regions that hold an object.
    """
    stages = build_up_to_stage(
        backbone,
        stage,
        norm=norm,
        norm_eps=norm_eps,
        in_channels=in_channels,
        options=backbone_options,
    )
    return FastRCNN(
        stages,
        num_classes=num_classes,
        sampling=Sampling(samples, foreground, stream="rois"),
        head_width=head_width,
    )
