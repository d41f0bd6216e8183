"""Contract tests for plugins of zoo, to be inherited.

    from zoo_testkit import ModelContract

    class TestTinyNet(ModelContract):
        model = "tinynet"

A class names one thing, several, or a pattern of full names (``"tinynet:*"``).  Each name is
imported when it is first used: pytest loads this package in every run, and must not pay for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_testkit._cards import CardContract as CardContract
    from zoo_testkit._datasets import DatasetContract as DatasetContract
    from zoo_testkit._detectors import DetectorContract as DetectorContract
    from zoo_testkit._metrics import MetricContract as MetricContract
    from zoo_testkit._models import ModelContract as ModelContract
    from zoo_testkit._plugins import PluginContract as PluginContract
    from zoo_testkit._recipes import RecipeContract as RecipeContract
    from zoo_testkit._tasks import TaskContract as TaskContract

_HOMES = {
    "CardContract": "_cards",
    "DatasetContract": "_datasets",
    "DetectorContract": "_detectors",
    "MetricContract": "_metrics",
    "ModelContract": "_models",
    "PluginContract": "_plugins",
    "RecipeContract": "_recipes",
    "TaskContract": "_tasks",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo_testkit' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"zoo_testkit.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
