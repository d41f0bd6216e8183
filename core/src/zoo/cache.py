"""Where downloaded weights and data sets are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

VARIABLE = "ZOO_CACHE"


def cache_folder() -> Path:
    """``$ZOO_CACHE``, else the system's folder for caches; it need not exist yet."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("zoo")).expanduser()
