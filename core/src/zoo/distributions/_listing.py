"""The plugins as a fresh process sees them: one that ends or hangs takes only that along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from zoo.errors import ZooError
from zoo.plugins import ONLY, WITHOUT

PATIENCE_S = 120.0
"""How long a listing may take; a machine at its limit needs some seconds."""

Listing = list[dict[str, Any]]


class ListingError(ZooError):
    """A process that should have listed the plugins ended, or never did."""


def list_afresh(
    environ: Mapping[str, str] | None = None, *, timeout_s: float = PATIENCE_S
) -> Listing:
    """The document of ``zoo plugins list --json``, of a process of its own.

    Args:
        environ: of that process; default: this one's, without a choice of plugins.

    Raises:
        ListingError: a plugin ended the process, or did not finish loading.
    """
    if environ is None:
        environ = {name: text for name, text in os.environ.items() if name not in (ONLY, WITHOUT)}
    # -P: a file in the folder that we are in is no part of the installation.
    command = [sys.executable, "-P", "-m", "zoo", "plugins", "list", "--json"]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        listing: Listing = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise ListingError(f"does not finish loading within {timeout_s:.0f} s") from None
    except ValueError:  # no document: the process did not come so far
        raise ListingError(f"ends the process while it loads ({_end(done.returncode)})") from None
    return listing


def _end(code: int) -> str:
    """How a process ended.

    >>> _end(3), _end(-11)
    ('exit code 3', 'signal SIGSEGV')
    """
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
