"""The cards of the R-CNN lineage: facts only, so that listing them imports no torch.

GMACs are for one square image of the card's input size and as many proposals as the papers have:
2,000 from outside, 300 of Faster R-CNN's own, 1,000 with a pyramid.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo import InputSpec, ModelCard, RecipeCard, WeightsCard, hookimpl

PHOTOS = InputSpec(size_px=600, resize_px=None)
"""The papers' shorter side."""
LARGE_PHOTOS = InputSpec(size_px=800, resize_px=None)

DETECTION = "detection"
TAGS = ("detector", "no-compile", "no-export")
"""How many boxes suppression leaves is known when they are there: no graph has that number."""
SPP_PAPER = "He 2014, arXiv:1406.4729"


@dataclass(frozen=True, slots=True)
class Family:
    """What the detectors of one paper share; "{}" in the summary is the backbone."""

    summary: str
    module: str
    paper: str
    num_classes: int = 20
    input: InputSpec = PHOTOS
    recipe: str = "single-map-small"


FAMILIES = {
    "rcnn": Family(
        "R-CNN: {} on each of 2,000 warped regions",
        "rcnn",
        "Girshick 2014, arXiv:1311.2524",
        recipe="rcnn-small",
    ),
    "spp_net": Family(
        "SPP-net: {} once, a spatial pyramid for each of 2,000 regions", "spp_net", SPP_PAPER
    ),
    "fast_rcnn": Family(
        "Fast R-CNN: {} once, RoI pooling for each of 2,000 regions",
        "fast_rcnn",
        "Girshick 2015, arXiv:1504.08083",
    ),
    "faster_rcnn": Family(
        "Faster R-CNN: {} proposes its own 300 regions",
        "faster_rcnn",
        "Ren 2015, arXiv:1506.01497",
        recipe="faster-rcnn-small",
    ),
    "faster_rcnn_fpn": Family(
        "Faster R-CNN: a feature pyramid over {} proposes 1,000 regions",
        "faster_rcnn",
        "Lin 2017, arXiv:1612.03144",
        num_classes=90,  # COCO's category numbers go to 90; ten of them are not used
        input=LARGE_PHOTOS,
        recipe="fpn-small",
    ),
}
"""By the name of the factory.  The classes are Pascal VOC's, with a pyramid COCO's."""

COCO_WEIGHTS = WeightsCard(
    name="coco_v1",
    url="https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
    sha256="258fb6c6",
    preprocess=LARGE_PHOTOS,
    classes="zoo_rcnn:coco.txt",
    metrics={"ap": 0.370},
    options={"norm": "frozen", "norm_eps": 0.0},
    license="trained on COCO, whose terms of use may extend to the weights",
    provenance="torchvision, BSD-3-Clause",
)


def _detector(
    factory: str, backbone: str, num_params: int, gmacs: float, *weights: WeightsCard
) -> ModelCard:
    family = FAMILIES[factory]
    stem, pyramid, _ = factory.partition("_fpn")
    return ModelCard(
        name=f"{stem}_{backbone}{pyramid}",
        task=DETECTION,
        summary=family.summary.format(backbone),
        factory=f"zoo_rcnn.{family.module}:{factory}",
        options={"backbone": backbone},
        num_params=num_params,
        gmacs=gmacs,
        num_classes=family.num_classes,
        input=family.input,
        backbone_option="backbone",
        backbone_part="backbone.body",
        recipe=family.recipe,
        weights=weights,
        paper=family.paper,
        license="Apache-2.0",
        tags=TAGS,
    )


def _on_any_backbone(factory: str, num_params: int, gmacs: float) -> ModelCard:
    """A card that leaves the backbone to the user; its numbers are for ResNet-18.

    Its recipe names no part of a backbone.
    """
    family = FAMILIES[factory]
    return ModelCard(
        name=factory,
        task=DETECTION,
        summary=family.summary.format("any backbone"),
        factory=f"zoo_rcnn.{family.module}:{factory}",
        num_params=num_params,
        gmacs=gmacs,
        num_classes=family.num_classes,
        input=family.input,
        backbone_option="backbone",
        backbone_part="backbone.body",
        recipe="rcnn-small" if factory == "rcnn" else "roi-small",
        paper=family.paper,
        license="Apache-2.0",
        tags=TAGS,
    )


@hookimpl
def zoo_models() -> list[ModelCard]:
    """Five detectors on four backbones and on any, and the pyramid as a classifier's head."""
    return [
        _on_any_backbone("rcnn", 11_230_377, 3627.230208),
        _detector("rcnn", "resnet18", 11_230_377, 3627.230208),
        _detector("rcnn", "resnet34", 21_338_537, 7326.606336),
        _detector("rcnn", "resnet50", 23_723_177, 8174.702592),
        _detector("rcnn", "resnet101", 42_715_305, 15599.14496),
        _on_any_backbone("spp_net", 17_048_233, 38.668479488),
        _detector("spp_net", "resnet18", 17_048_233, 38.668479488),
        _detector("spp_net", "resnet34", 22_435_753, 50.458766336),
        _detector("spp_net", "resnet50", 62_130_345, 130.950114304),
        _detector("spp_net", "resnet101", 81_122_473, 158.29933568),
        _on_any_backbone("fast_rcnn", 16_786_089, 38.144191488),
        _detector("fast_rcnn", "resnet18", 16_786_089, 38.144191488),
        _detector("fast_rcnn", "resnet34", 22_173_609, 49.934478336),
        _detector("fast_rcnn", "resnet50", 61_081_769, 128.852962304),
        _detector("fast_rcnn", "resnet101", 80_073_897, 156.20218368),
        _on_any_backbone("faster_rcnn", 17_387_734, 15.210573824),
        _detector("faster_rcnn", "resnet18", 17_387_734, 15.210573824),
        _detector("faster_rcnn", "resnet34", 22_775_254, 27.000860672),
        _detector("faster_rcnn", "resnet50", 70_566_102, 53.23505152),
        _detector("faster_rcnn", "resnet101", 89_558_230, 80.584272896),
        _on_any_backbone("faster_rcnn_fpn", 28_739_606, 101.693641216),
        _detector("faster_rcnn_fpn", "resnet18", 28_739_606, 101.693641216),
        _detector("faster_rcnn_fpn", "resnet34", 38_847_766, 125.286601216),
        _detector("faster_rcnn_fpn", "resnet50", 41_808_406, 134.379721216, COCO_WEIGHTS),
        _detector("faster_rcnn_fpn", "resnet101", 60_800_534, 181.729481216),
        ModelCard(
            name="spp_resnet18",
            task="classification",
            summary="resnet18 with a spatial pyramid as its head, for images of any size",
            factory="zoo_rcnn.spp_net:spp_classifier",
            options={"backbone": "resnet18"},
            num_params=36_777_512,
            gmacs=1.839161344,
            num_classes=1000,
            backbone_option="backbone",
            backbone_part="backbone.body",
            paper=f"{SPP_PAPER}, section 3",
            license="Apache-2.0",
            tags=("cnn",),
        ),
    ]


def _recipe(name: str, summary: str, source: str = "") -> RecipeCard:
    return RecipeCard(
        name=name,
        task=DETECTION,
        summary=summary,
        factory=f"zoo_rcnn.recipes:{name.replace('-', '_')}",
        source=source,
    )


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """Ways to train a detector, ours and the sources'."""
    return [
        _recipe("roi-small", "small images from scratch, regions from outside"),
        _recipe("rcnn-small", "the same with regions of 32 px"),
        _recipe("single-map-small", "the same with the map of stride 4 of a ResNet"),
        _recipe("faster-rcnn-small", "the same with small anchors on one map"),
        _recipe("fpn-small", "the same with small anchors on a narrow pyramid"),
        _recipe(
            "girshick2015",
            "Fast R-CNN's: 2 images of 600 px a step",
            "Girshick 2015, arXiv:1504.08083",
        ),
        _recipe("torchvision-coco", "26 epochs of COCO, 16 images a step", "references/detection"),
    ]
