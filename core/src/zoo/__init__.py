"""zoo: a vision model zoo whose models come by ``pip install``."""

from zoo.cards import (
    CommandSpec,
    DatasetCard,
    InputSpec,
    MetricCard,
    ModelCard,
    RecipeCard,
    TaskCard,
    WeightsCard,
)
from zoo.hooks import hookimpl

__version__ = "0.1.0"
