"""``zoo plugins uninstall``: broken ones too, since no plugin is loaded for it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from zoo.cli._options import json_option
from zoo.cli.plugins._changes import change, change_options
from zoo.distributions import plan_uninstall


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@change_options
@json_option
def uninstall(names: Sequence[str], *, yes: bool, dry_run: bool, json_: bool) -> int:
    """Remove the distributions of plugins.

    A NAME is a plugin's or a distribution's; with a distribution go all its plugins. Anything
    else is left to pip or uv.
    """
    return change(plan_uninstall(names), yes=yes, dry_run=dry_run, json_=json_)
