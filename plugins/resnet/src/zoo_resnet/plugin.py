"""The cards of the ResNet family: facts only, so that listing them imports no torch."""

from __future__ import annotations

from dataclasses import replace

from zoo import InputSpec, ModelCard, RecipeCard, WeightsCard, hookimpl

PAPER = "He 2015, arXiv:1512.03385"
WIDE = "Zagoruyko 2016, arXiv:1605.07146"
STRIKES_BACK = "Wightman 2021, arXiv:2110.00476"
RESNEXT = "Xie 2016, arXiv:1611.05431"

PHOTOS = InputSpec()
"""ImageNet's: shorter side to 256 px, centre crop of 224 px."""
PHOTOS_V2 = replace(PHOTOS, resize_px=232)
CIFAR = InputSpec(
    size_px=32, resize_px=None, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
)
"""Mean and standard deviation of CIFAR-10's training pixels."""


def _weights(file: str, name: str, top1: float, top5: float) -> WeightsCard:
    """Weights published by torchvision; its file names end in the hash's first 8 hex digits."""
    return WeightsCard(
        name=name,
        url=f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        preprocess=PHOTOS_V2 if name.endswith("v2") else PHOTOS,
        classes="zoo_resnet:imagenet1k.txt",
        metrics={"top1": top1, "top5": top5},
        license="trained on ImageNet, whose terms of use may extend to the weights",
        provenance="torchvision, BSD-3-Clause",
    )


def _photo_net(
    name: str,
    summary: str,
    num_params: int,
    gmacs: float,
    *weights: WeightsCard,
    paper: str = PAPER,
) -> ModelCard:
    return ModelCard(
        name=name,
        task="classification",
        summary=summary,
        factory="zoo_resnet.resnet:resnet",
        options={"variant": name},
        num_params=num_params,
        gmacs=gmacs,
        num_classes=1000,
        input=PHOTOS,
        weights=weights,
        recipe="small",
        paper=paper,
        license="Apache-2.0",
        tags=("cnn", "backbone"),
    )


def _cifar_net(name: str, num_params: int, gmacs: float) -> ModelCard:
    layers = name.removeprefix("resnet")
    return ModelCard(
        name=name,
        task="classification",
        summary=f"{layers}-layer residual network for 32 px images, three stages",
        factory="zoo_resnet.resnet:resnet",
        options={"variant": name},
        num_params=num_params,
        gmacs=gmacs,
        num_classes=10,
        input=CIFAR,
        recipe="small",
        paper=f"{PAPER}, section 4.2",
        license="Apache-2.0",
        tags=("cnn", "backbone", "cifar"),
    )


@hookimpl
def zoo_models() -> list[ModelCard]:
    """The networks of tables 1 and 6, and two successors."""
    return [
        _photo_net(
            "resnet18",
            "18-layer residual network of basic blocks",
            11_689_512,
            1.814073344,
            _weights("resnet18-f37072fd.pth", "imagenet1k_v1", 0.69758, 0.89078),
        ),
        _photo_net(
            "resnet34",
            "34-layer residual network of basic blocks",
            21_797_672,
            3.663761408,
            _weights("resnet34-b627a593.pth", "imagenet1k_v1", 0.73314, 0.91420),
        ),
        _photo_net(
            "resnet50",
            "50-layer residual network of bottlenecks",
            25_557_032,
            4.089184256,
            _weights("resnet50-0676ba61.pth", "imagenet1k_v1", 0.76130, 0.92862),
            _weights("resnet50-11ad3fa6.pth", "imagenet1k_v2", 0.80858, 0.95434),
        ),
        _photo_net(
            "resnet101",
            "101-layer residual network of bottlenecks",
            44_549_160,
            7.801405440,
            _weights("resnet101-63fe2227.pth", "imagenet1k_v1", 0.77374, 0.93546),
            _weights("resnet101-cd907fc2.pth", "imagenet1k_v2", 0.81886, 0.95780),
        ),
        _photo_net(
            "resnet152",
            "152-layer residual network of bottlenecks",
            60_192_808,
            11.513626624,
            _weights("resnet152-394f9c45.pth", "imagenet1k_v1", 0.78312, 0.94046),
            _weights("resnet152-f82ba261.pth", "imagenet1k_v2", 0.82284, 0.96002),
        ),
        _photo_net(
            "wide_resnet50_2",
            "ResNet-50 with 3x3 convolutions of twice the width",
            68_883_240,
            11.398021120,
            _weights("wide_resnet50_2-95faca4d.pth", "imagenet1k_v1", 0.78468, 0.94086),
            _weights("wide_resnet50_2-9ba9bcbe.pth", "imagenet1k_v2", 0.81602, 0.95758),
            paper=WIDE,
        ),
        _photo_net(
            "resnext50_32x4d",
            "ResNet-50 with 3x3 convolutions in 32 groups",
            25_028_904,
            4.230479872,
            _weights("resnext50_32x4d-7cdf4587.pth", "imagenet1k_v1", 0.77618, 0.93698),
            _weights("resnext50_32x4d-1a0047aa.pth", "imagenet1k_v2", 0.81198, 0.95340),
            paper=RESNEXT,
        ),
        _cifar_net("resnet20", 269_722, 0.040551040),
        _cifar_net("resnet32", 464_154, 0.068862592),
        _cifar_net("resnet44", 658_586, 0.097174144),
        _cifar_net("resnet56", 853_018, 0.125485696),
        _cifar_net("resnet110", 1_727_962, 0.252887680),
    ]


def _recipe(name: str, summary: str, source: str = "") -> RecipeCard:
    return RecipeCard(
        name=name,
        task="classification",
        summary=summary,
        factory=f"zoo_resnet.recipes:{name.replace('-', '_')}",
        source=source,
    )


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """Ways to train the family, the sources' and ours."""
    return [
        _recipe("small", "some thousand small images, from scratch; the default"),
        _recipe("small-photos", "some hundred photos, from scratch, 64 px"),
        _recipe("fine-tune", "published weights on new classes, a rate for each stage"),
        _recipe("he2015-imagenet", "the paper's on ImageNet", PAPER),
        _recipe("he2015-cifar", "the paper's on CIFAR-10, 64,000 steps", PAPER),
        _recipe(
            "goyal2017",
            "ImageNet with batches of 8,192 and gradual warm-up, 90 epochs",
            "Goyal 2017, arXiv:1706.02677",
        ),
        _recipe(
            "torchvision-v1",
            "ImageNet, 90 epochs, as torchvision's first weights",
            "torchvision, references/classification",
        ),
        _recipe(
            "torchvision-v2",
            "ImageNet, 600 epochs, as torchvision's second weights",
            "torchvision, references/classification, vision#3995",
        ),
        _recipe("rsb-a1", "ImageNet, 600 epochs, ResNet strikes back", STRIKES_BACK),
        _recipe("rsb-a2", "ImageNet, 300 epochs, ResNet strikes back", STRIKES_BACK),
        _recipe("rsb-a3", "ImageNet, 100 epochs at 160 px, ResNet strikes back", STRIKES_BACK),
    ]
