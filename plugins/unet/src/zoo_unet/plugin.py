"""The cards of the U-Nets: facts only, so that listing them imports no torch."""

from __future__ import annotations

from zoo import InputSpec, ModelCard, RecipeCard, WeightsCard, hookimpl

SEGMENTATION = "segmentation"
PAPER = "Ronneberger 2015, arXiv:1505.04597"
MILESIAL = "milesial/Pytorch-UNet"

UNIT = InputSpec(size_px=512, resize_px=None, mean=(0.0,) * 3, std=(1.0,) * 3)
"""Pixels from 0 to 1."""
SMALL = InputSpec(size_px=256, resize_px=None, mean=(0.0,) * 3, std=(1.0,) * 3)
GREY = InputSpec(channels=1, size_px=572, resize_px=None, mean=(0.0,), std=(1.0,))
PHOTOS = InputSpec(size_px=512, resize_px=None)
"""The mean and standard deviation of ImageNet, which published encoders were trained with."""


def _carvana(name: str, scale: str) -> WeightsCard:
    """Weights that milesial publishes, without a hash; trained on Carvana at a scale."""
    return WeightsCard(
        name=name,
        url=f"https://github.com/{MILESIAL}/releases/download/v3.0/unet_carvana_scale{scale}_epoch2.pth",
        preprocess=UNIT,
        classes="zoo_unet:carvana.txt",
        license="none stated; the repository that publishes them is under GPL-3.0",
        provenance=f"{MILESIAL} v3.0: Carvana, images scaled by {scale}",
    )


def _on_encoder(encoder: str, num_params: int, gmacs: float) -> ModelCard:
    return ModelCard(
        name=f"unet_{encoder}",
        task=SEGMENTATION,
        summary=f"U-Net whose contracting path is {encoder}",
        factory="zoo_unet.unet:unet",
        options={"encoder": encoder},
        num_params=num_params,
        gmacs=gmacs,
        num_classes=2,
        input=PHOTOS,
        backbone_option="encoder",
        recipe="unet",
        paper=PAPER,
        license="Apache-2.0",
        tags=("cnn", "encoder"),
    )


@hookimpl
def zoo_models() -> list[ModelCard]:
    """The paper's network, today's in two widths, and those on an encoder of the registry."""
    return [
        ModelCard(
            name="unet_paper",
            task=SEGMENTATION,
            summary="the network of 2015: valid convolutions, 572 px in, 388 px out",
            factory="zoo_unet.unet:unet_paper",
            num_params=31_030_658,
            gmacs=150.428424448,
            num_classes=2,
            input=GREY,
            recipe="paper-tiles",
            paper=PAPER,
            license="Apache-2.0",
            tags=("cnn",),
        ),
        ModelCard(
            name="unet",
            task=SEGMENTATION,
            summary="U-Net of same padding and batch norm, on any encoder by model.encoder",
            factory="zoo_unet.unet:unet",
            num_params=31_037_698,
            gmacs=192.68632576,
            num_classes=2,
            input=UNIT,
            backbone_option="encoder",
            weights=(_carvana("carvana-half", "0.5"), _carvana("carvana-full", "1.0")),
            recipe="unet",
            paper=PAPER,
            license="Apache-2.0",
            tags=("cnn",),
        ),
        ModelCard(
            name="unet_small",
            task=SEGMENTATION,
            summary="U-Net of a sixteenth of the parameters, for small machines",
            factory="zoo_unet.unet:unet",
            options={"width": 16},
            num_params=1_942_594,
            gmacs=3.033530368,
            num_classes=2,
            input=SMALL,
            backbone_option="encoder",
            recipe="unet",
            paper=PAPER,
            license="Apache-2.0",
            tags=("cnn",),
        ),
        _on_encoder("resnet18", 14_241_298, 19.214106624),
        _on_encoder("resnet34", 24_349_458, 28.87778304),
        _on_encoder("resnet50", 30_468_114, 36.93084672),
        _on_encoder("resnet101", 49_460_242, 56.325308416),
        _on_encoder("resnet152", 65_103_890, 75.719770112),
    ]


def _recipe(name: str, summary: str, source: str = "") -> RecipeCard:
    return RecipeCard(
        name=name,
        task=SEGMENTATION,
        summary=summary,
        factory=f"zoo_unet.recipes:{name.replace('-', '_')}",
        source=source,
    )


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """Ways to train a U-Net, the sources' and ours."""
    return [
        _recipe("unet", "some ten to some thousand images, from scratch; the default"),
        _recipe("paper-tiles", "the same for unet_paper: 388 px with 92 px around them"),
        _recipe("unet-pretrained", "a published encoder on new classes"),
        _recipe("membranes", "thin borders in some ten large grey slices, from scratch"),
        _recipe("ronneberger2015", "the paper's: one large tile a step, momentum 0.99", PAPER),
        _recipe("milesial", "RMSprop on whole images, Dice beside cross-entropy", MILESIAL),
    ]
