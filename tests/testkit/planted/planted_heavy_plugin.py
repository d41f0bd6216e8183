"""A plugin's module that every listing would wait for."""

import numpy  # noqa: F401, ICN001
