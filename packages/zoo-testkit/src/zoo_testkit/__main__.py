"""``python -m zoo_testkit NAME [--all]``: check an installed plugin, one JSON document on stdout.

A list with an object for each test: ``kind``, ``name``, ``test``, ``outcome`` ("passed", "failed",
"not applicable") and ``reason``.  Exits with 1 where a test failed, with 2 for an unknown name.
``zoo plugins check`` prints it as a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict

from zoo.errors import UnknownNameError, ZooError
from zoo.plugins import Plugin
from zoo.registry import Registry, default_registry


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contracts; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m zoo_testkit", description=__doc__)
    parser.add_argument("name", help="of the plugin or its distribution")
    parser.add_argument("--all", action="store_true", help="the whole contract on every model")
    given = parser.parse_args(arguments)
    try:
        with redirect_stdout(sys.stderr):  # what models print is not the answer
            results = check(given.name, everything=given.all)
    except ZooError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(results, indent=1))
    return any(result["outcome"] == "failed" for result in results)


def check(name: str, *, everything: bool) -> list[dict[str, str]]:
    """The results of every contract of a plugin.

    Raises:
        UnknownNameError: no plugin or distribution that is installed is called so.
    """
    registry = default_registry()  # before torch is there: what plugins load shows
    plugin = _find(name, registry)
    from zoo_testkit._checking import contracts_of
    from zoo_testkit._running import run_contract

    results = []
    for contract in contracts_of(plugin, registry, everything=everything):
        for case in contract.contract_cases():
            print(f"Checking {contract.kind} {case.name}", file=sys.stderr)
        results += [asdict(result) for result in run_contract(contract)]
    return results


def _find(name: str, registry: Registry) -> Plugin:
    for plugin in registry.plugins:
        if name in (plugin.name, plugin.distribution):
            return plugin
    known = [plugin.name for plugin in registry.plugins]
    raise UnknownNameError("plugin", name, known, "See `zoo plugins list`.")


if __name__ == "__main__":
    sys.exit(main())
