"""R-CNN: regions with CNN features (Girshick 2014, arXiv:1311.2524).

1. Some 2,000 regions of an image that may hold an object come from elsewhere (selective search).
2. Each is warped to one size, with some context around it, and goes through the whole CNN.
3. A linear layer gives a score for each class, another the box of the object (appendix C).
4. Non-maximum suppression for each class keeps the best (section 2.2).

One image costs two thousand passes of the CNN, most of them over the same pixels: what SPP-net and
Fast R-CNN do away with.

Shapes: b images, c channels, h w height and width in px, r regions, d features, k classes.

Differs from the paper: one network, trained end to end, has the scores (the softmax of appendix B,
where the paper adds SVMs) and the boxes (there a ridge regression on frozen features); the feature
is the mean over the CNN's last map, as ResNets have no fc6 and fc7.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from zoo.models import build_backbone
from zoo.structures import Backbone, DetectorOutput, SampleKeys
from zoo_rcnn.backbones import Norm, SingleMapBackbone, with_learned_statistics
from zoo_rcnn.detections import DetectionRule
from zoo_rcnn.matching import Matching
from zoo_rcnn.proposals import outside_proposals
from zoo_rcnn.roi_heads import BoxPredictor, RoIHeads
from zoo_rcnn.sampling import Sampling
from zoo_rcnn.targets import Targets, image_sizes
from zoo_rcnn.warping import CONTEXT_PX, check_room, warp_regions


class RCNN(nn.Module):
    """A CNN on every region.

    Args:
        backbone: its last map's mean is the feature of a region.
        num_classes: classes as users name them.
        sampling: of the regions that are learned from.
        region_px: side of a warped region.
        context_px: of it, the margin on each side that shows what is around.
        chunk: regions that go through the CNN together when nothing is learned.
    """

    head_parts: ClassVar[tuple[str, ...]] = ("roi_heads.box_predictor",)
    typical_proposals: ClassVar[int] = 2000

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        sampling: Sampling,
        region_px: int,
        context_px: int = CONTEXT_PX,
        chunk: int = 64,
    ) -> None:
        super().__init__()
        check_room(region_px, context_px)
        self.region_px = region_px
        self.context_px = context_px
        self.backbone = SingleMapBackbone(backbone)
        self.roi_heads = RoIHeads(
            nn.Identity(),
            BoxPredictor(self.backbone.channels, num_classes),
            matching=Matching(foreground=0.5, background=(0.0, 0.5)),
            sampling=sampling,
            rule=DetectionRule(nms_iou=0.3),
            chunk=chunk,
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
        pool = partial(self.describe, images)
        return self.roi_heads.answer(pool, proposals, sizes, targets, keys, detect=detect)

    def describe(self, images: Tensor, rois: Tensor) -> Tensor:
        """The feature of each region: images (b, c, h, w), rois (r, 5) -> (r, d)."""
        if not len(rois):
            return self._no_features(images)
        regions = warp_regions(images, rois, size_px=self.region_px, context_px=self.context_px)
        # A single region, on whose map a single cell is left, has no variance.
        alone = with_learned_statistics(self.backbone) if len(rois) == 1 else nullcontext()
        with alone:
            [feature_map] = self.backbone(regions)
        features: Tensor = feature_map.mean(dim=(2, 3))
        return features

    def _no_features(self, images: Tensor) -> Tensor:
        """(0, d), tied to every parameter, so that each has a gradient of zero and not none."""
        tie = sum(
            (parameter.sum() * 0 for parameter in self.backbone.parameters()), images.sum() * 0
        )
        nothing: Tensor = images.new_zeros(0, self.backbone.channels) + tie
        return nothing

    def typical_pass(self, images: Tensor) -> None:
        """The work for images (b, c, h, w) with 2,000 proposals each."""
        count = len(images) * self.typical_proposals
        [feature_map] = self.backbone(
            images.new_zeros(count, images.shape[1], self.region_px, self.region_px)
        )
        self.roi_heads(feature_map.mean(dim=(2, 3)))


def rcnn(  # noqa: PLR0913 - each is an option for the user
    *,
    num_classes: int,
    in_channels: int = 3,
    backbone: str = "resnet18",
    stage: str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    norm: Norm = "batch",
    norm_eps: float | None = None,
    region_px: int = 224,
    context_px: int = CONTEXT_PX,
    samples: int = 64,
    foreground: float = 0.25,
    chunk: int = 64,
) -> RCNN:
    """R-CNN on a backbone of the registry.

    Args:
        num_classes: classes as users name them; the background comes on top.
        in_channels: of the images.
        backbone: name of a model with stages.
        stage: whose map's mean is the feature; default: the last.
        backbone_options: of that model.
        norm: "frozen" for batch norms that are constants, as published weights need it.
        norm_eps: of frozen norms.
        region_px: side of a warped region.
        context_px: of it, the margin on each side (appendix A).
        samples: regions of each image that are learned from.
        foreground: largest share of them for regions that hold an object (section 2.3: 32 of 128).
        chunk: regions that go through the CNN together when nothing is learned; less needs less
            memory.
    """
    stages = build_backbone(
        backbone,
        out=[stage] if stage else None,
        norm=norm,
        norm_eps=norm_eps,
        in_channels=in_channels,
        **(backbone_options or {}),
    )
    return RCNN(
        stages,
        num_classes=num_classes,
        sampling=Sampling(samples, foreground, stream="rois"),
        region_px=region_px,
        context_px=context_px,
        chunk=chunk,
    )
