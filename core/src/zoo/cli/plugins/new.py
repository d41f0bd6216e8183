"""``zoo plugins new``: a whole project, whose tests pass and whose model trains."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from zoo.cli._options import json_option
from zoo.cli._output import print_answer, print_json
from zoo.distributions import new_plugin, plugin_distributions


@click.command()
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=".",
    metavar="DIR",
    help="Where the project's folder, zoo-NAME, is made; default: here.",
)
@json_option
def new(name: str, *, output: Path, json_: bool) -> None:
    """Write a plugin project: a card, a small model, a recipe, contract tests."""
    installed = [plugin for plugins in plugin_distributions().values() for plugin in plugins]
    project = new_plugin(name, parent=output, installed=installed)
    model = project.name.removeprefix("zoo-").replace("-", "_")
    commands = [
        f"zoo plugins install --editable {shlex.quote(os.path.relpath(project))}",
        f"zoo train {model}",
        f"zoo plugins check {model}",
    ]
    if json_:
        print_json({"project": project, "plugin": model, "next": commands})
        return
    print_answer(f"{project} is a plugin with a model, {model}. Now:\n")
    for command in commands:
        print_answer(f"    {command}")
