"""Run the test kit on an installed plugin, in a process of its own; core never imports the kit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from zoo.errors import PluginError, UnknownNameError, UsageError, ZooError
from zoo.plugins import Plugin

KIT = "zoo_testkit"


@dataclass(frozen=True)
class CheckResult:
    """What became of one promise of the contract.

    Attributes:
        kind, name: of what was tested: "model", "tinynet".
        test: the promise.
        outcome: "passed", "failed" or "not applicable".
        reason: why, unless it passed.
    """

    kind: str
    name: str
    test: str
    outcome: str
    reason: str = ""


def check_plugin(
    name: str, *, installed: Sequence[Plugin], thorough: bool = False
) -> list[CheckResult]:
    """Test what an installed plugin promises.

    Args:
        name: of the plugin.
        installed: the plugins as they were loaded.
        thorough: every card in full, which takes long.

    Raises:
        UsageError: there is no such plugin, it did not load, or the kit is not installed.
        ZooError: the kit gave no answer.
    """
    _require_loaded(name, installed)
    if find_spec(KIT) is None:
        raise UsageError("the test kit is not installed", "pip install zoo-testkit")
    command = [sys.executable, "-P", "-m", KIT, name, *(["--all"] if thorough else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    try:
        document: list[dict[str, Any]] = json.loads(done.stdout)
        return [CheckResult(**row) for row in document]
    except (ValueError, TypeError):
        raise ZooError(
            f"{KIT} gave no answer (exit code {done.returncode}); what it says above is the cause"
        ) from None


def _require_loaded(name: str, installed: Sequence[Plugin]) -> None:
    known = {plugin.name: plugin for plugin in installed}
    if name not in known:
        raise UnknownNameError("plugin", name, known, "See `zoo plugins list`.")
    plugin = known[name]
    if plugin.state != "loaded":
        raise PluginError(f"plugin {name!r} is {plugin.state}: {plugin.reason}", plugin.cure)
