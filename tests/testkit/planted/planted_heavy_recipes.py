"""Recipes that are read with numpy, for which every listing would wait."""

from typing import Any

import numpy as np


def heavy() -> dict[str, Any]:
    """Command: ``zoo train planted --recipe heavy``."""
    return {"optimizer": {"learning_rate": float(np.exp(-2))}}
