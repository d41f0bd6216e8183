"""Load a plugin and its recipes as ``zoo list`` does, in a process that has imported nothing."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass

_SCRIPT = """
import json, sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from importlib.metadata import EntryPoint
from zoo.plugins import load_plugins
name, target = sys.argv[1:]
found = [] if name == "core" else [EntryPoint(name, target, "zoo.plugins")]
plugin = load_plugins(found=found)[-1]
for card in plugin.cards.get("recipe", ()):
    with redirect_stdout(sys.stderr), suppress(ImportError):
        import_module(card.factory.partition(":")[0])
print(json.dumps(sorted({"torch", "torchvision", "numpy", "PIL"} & sys.modules.keys())))
"""


@dataclass(frozen=True)
class Listing:
    """What happened.

    Attributes:
        heavy: what of torch, numpy and PIL was imported.
        printed: by the plugin, on stdout or stderr.
    """

    heavy: tuple[str, ...]
    printed: str


@functools.cache
def list_in_fresh_process(name: str, target: str) -> Listing:
    """Import a plugin's module, call its hooks, import its recipes, in a Python of its own.

    Args:
        name: of its entry point.
        target: the module that the entry point names.
    """
    done = subprocess.run(  # noqa: S603 - Python itself, on a script that stands above
        [sys.executable, "-c", _SCRIPT, name, target],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the plugin cannot be listed: {done.stderr.strip()[-500:]}")
    # While plugins load, zoo sends what they print on stdout to stderr.
    return Listing(tuple(json.loads(done.stdout)), done.stderr)
