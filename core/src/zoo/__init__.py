"""zoo: a vision model zoo whose models come by ``pip install``.

The public names, each imported when it is first used, so that ``import zoo`` costs nothing:

    list_models, build_model, build_backbone     models by name
    train, evaluate, compare, export, load_run   what the command line does, from Python
    Predictor                                    what load_run returns: call it on images
    ModelCard, ..., hookimpl                     what a plugin says of itself
    Task, Metric, Callback, Backbone             what a plugin may extend
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.cards import CallbackCard as CallbackCard
    from zoo.cards import CardTable as CardTable
    from zoo.cards import CommandSpec as CommandSpec
    from zoo.cards import DatasetCard as DatasetCard
    from zoo.cards import InputSpec as InputSpec
    from zoo.cards import MetricCard as MetricCard
    from zoo.cards import ModelCard as ModelCard
    from zoo.cards import ProposerCard as ProposerCard
    from zoo.cards import RecipeCard as RecipeCard
    from zoo.cards import TaskCard as TaskCard
    from zoo.cards import WeightsCard as WeightsCard
    from zoo.errors import ZooError as ZooError
    from zoo.hooks import hookimpl as hookimpl
    from zoo.inference import Predictor as Predictor
    from zoo.inference import load_run as load_run
    from zoo.metrics import Metric as Metric
    from zoo.models import build_backbone as build_backbone
    from zoo.models import build_model as build_model
    from zoo.registry import list_models as list_models
    from zoo.structures import Backbone as Backbone
    from zoo.tasks import Task as Task
    from zoo.training import Callback as Callback
    from zoo.workflows import compare as compare
    from zoo.workflows import evaluate as evaluate
    from zoo.workflows import export as export
    from zoo.workflows import train as train

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "zoo.structures",
    "Callback": "zoo.training",
    "CallbackCard": "zoo.cards",
    "CardTable": "zoo.cards",
    "CommandSpec": "zoo.cards",
    "DatasetCard": "zoo.cards",
    "InputSpec": "zoo.cards",
    "Metric": "zoo.metrics",
    "MetricCard": "zoo.cards",
    "ModelCard": "zoo.cards",
    "Predictor": "zoo.inference",
    "ProposerCard": "zoo.cards",
    "RecipeCard": "zoo.cards",
    "Task": "zoo.tasks",
    "TaskCard": "zoo.cards",
    "WeightsCard": "zoo.cards",
    "ZooError": "zoo.errors",
    "build_backbone": "zoo.models",
    "build_model": "zoo.models",
    "compare": "zoo.workflows",
    "evaluate": "zoo.workflows",
    "export": "zoo.workflows",
    "hookimpl": "zoo.hooks",
    "list_models": "zoo.registry",
    "load_run": "zoo.inference",
    "train": "zoo.workflows",
}
"""The room that each public name lives in."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
