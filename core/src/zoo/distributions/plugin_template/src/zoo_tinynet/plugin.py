"""What zoo knows of Tinynet before it is built.  Every ``zoo list`` reads this: no torch."""

from zoo import InputSpec, ModelCard, RecipeCard, hookimpl


@hookimpl
def zoo_models() -> list[ModelCard]:
    """One network."""
    return [
        ModelCard(
            name="tinynet",
            task="classification",
            summary="three convolutions, for images of 32 px",
            factory="zoo_tinynet.tinynet:tinynet",
            num_params=24_346,
            gmacs=0.002802304,
            num_classes=10,
            input=InputSpec(size_px=32, resize_px=None),
            recipe="tinynet",
        )
    ]


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """How it is trained, unless the user says otherwise."""
    return [
        RecipeCard(
            name="tinynet",
            task="classification",
            summary="AdamW from scratch, for small images",
            factory="zoo_tinynet.recipes:tinynet",
        )
    ]
