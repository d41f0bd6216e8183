"""``zoo plugins doctor``: each plugin that fails, the line at fault, and what most likely helps."""

from __future__ import annotations

import click

from zoo.cli._options import json_option
from zoo.cli._output import print_answer, print_json
from zoo.distributions import Diagnosis, diagnose_plugins
from zoo.wording import counted


@click.command()
@json_option
def doctor(json_: bool) -> int:
    """Say why plugins fail, at which line, what helps, and where to report it.

    Each is loaded in another process, so that even one that ends the process or hangs is found.
    Exits with 1 where a plugin failed.
    """
    found = diagnose_plugins()
    failed = [diagnosis for diagnosis in found if diagnosis.state == "failed"]
    if json_:
        print_json({"healthy": not failed, "plugins": found})
        return bool(failed)
    for diagnosis in failed:
        _print(diagnosis)
    for diagnosis in found:
        for note in diagnosis.notes:
            print_answer(f"{diagnosis.plugin}: {note}\n")
    print_answer(f"{counted(len(found), 'plugin')}, {len(failed)} failed.")
    return bool(failed)


def _print(diagnosis: Diagnosis) -> None:
    owner = f" of {diagnosis.distribution} {diagnosis.version}" if diagnosis.distribution else ""
    print_answer(f"{diagnosis.plugin}{owner}: {diagnosis.reason}")
    if diagnosis.location:
        print_answer(f"  at     {diagnosis.location}")
    if diagnosis.line:
        print_answer(f"         {diagnosis.line}")
    print_answer(f"  cure   {diagnosis.cure}")
    if diagnosis.home_page:
        print_answer(f"  report {diagnosis.home_page}")
    print_answer("")
