"""Libraries that few need: imported where they are used, and not installed with zoo."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zoo.errors import UsageError


def import_extra(module: str, *, library: str, purpose: str, install: str) -> Any:
    """The module of a library that may be missing.

    >>> import_extra("json", library="json", purpose="this line", install="json").loads("1")
    1

    Args:
        module: its name, ``"scipy.ndimage"``.
        library: what people call it, "SciPy".
        purpose: what needs it, as the beginning of a sentence: "the Rand score".
        install: what ``pip install`` takes, ``"zoo-core[segmentation]"``.

    Raises:
        UsageError: it is not installed; says what needs it and how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        if getattr(error, "name", None) not in {module, top}:  # it is there, and is broken itself
            raise
        raise UsageError(
            f"{purpose} needs {library}, which is not installed", f"pip install '{install}'"
        ) from error
