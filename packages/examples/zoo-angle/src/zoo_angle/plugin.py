"""What zoo knows of angles before they are learned.  Every ``zoo list`` reads this: no torch."""

from zoo import DatasetCard, InputSpec, MetricCard, ModelCard, RecipeCard, TaskCard, hookimpl


@hookimpl
def zoo_tasks() -> list[TaskCard]:
    """The task; ``recipe`` trains every model that comes from another task."""
    return [
        TaskCard(
            name="angle",
            summary="one angle for each image",
            factory="zoo_angle.task:AngleTask",
            default_dataset="dials",
            recipe="angle",
        )
    ]


@hookimpl
def zoo_datasets() -> list[DatasetCard]:
    """What the task learns from without a download, and a way to read what people have."""
    return [
        DatasetCard(
            name="dials",
            task="angle",
            summary="2,500 dials of 32x32 px with one hand, grey; drawn from a seed",
            factory="zoo_angle.dials:dials",
            source="drawn by this package",
            settings={"data": {"image_size": 32}},
        ),
        DatasetCard(
            name="dial-photos",
            task="angle",
            summary="photos of your own: --data dial-photos:TABLE.csv, with path and angle_deg",
            factory="zoo_angle.photos:dial_photos",
            source="whoever says --data dial-photos:TABLE.csv",
        ),
    ]


@hookimpl
def zoo_metrics() -> list[MetricCard]:
    """How far the answers are from the truth."""
    return [
        MetricCard(
            name="angle-error",
            task="angle",
            summary="mean distance in degrees, and how many images are near enough",
            factory="zoo_angle.metrics:AngleError",
            keys=("mean_error_deg", "within_10_deg_fraction"),
        )
    ]


@hookimpl
def zoo_models() -> list[ModelCard]:
    """A small network for small dials."""
    return [
        ModelCard(
            name="anglenet",
            task="angle",
            summary="three convolutions, for dials of 32 px",
            factory="zoo_angle.anglenet:anglenet",
            num_params=25_458,
            gmacs=0.000628736,
            num_classes=2,
            input=InputSpec(channels=1, size_px=32, resize_px=32, mean=(0.5,), std=(0.25,)),
        )
    ]


@hookimpl
def zoo_recipes() -> list[RecipeCard]:
    """How angles are learned, unless the user says otherwise."""
    return [
        RecipeCard(
            name="angle",
            task="angle",
            summary="AdamW from scratch, half of the images mirrored",
            factory="zoo_angle.recipes:angle",
        )
    ]
