"""A recipe that keeps the contract, and recipes that break one promise each."""

from __future__ import annotations

from typing import Any

Layer = dict[str, dict[str, Any]]
SHARED: Layer = {"optimizer": {"learning_rate": 0.1}}


def honest() -> Layer:
    """Quick and steady.

    Command: ``zoo train planted --recipe honest``
    Source: nobody
    """
    return {"optimizer": {"learning_rate": 0.1}, "training": {"epochs": 2}}


def quick() -> Layer:
    """A model that everybody can train.

    Command: ``zoo train planted``
    """
    return {"model": {"quick": True}}


def unknown_key() -> Layer:
    """Command: ``zoo train planted --recipe unknown-key``.

    Source: nobody
    """
    return {"optimizer": {"lerning_rate": 0.1}}


def commandless() -> Layer:
    """Quick and steady.

    Source: nobody
    """
    return honest()


def sourceless() -> Layer:
    """Command: ``zoo train planted --recipe sourceless``."""
    return honest()


def shared() -> Layer:
    """Command: ``zoo train planted --recipe shared``.

    Source: nobody
    """
    return SHARED
