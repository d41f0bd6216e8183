"""``zoo plugins upgrade``: to the newest versions that this zoo can take."""

from __future__ import annotations

from collections.abc import Sequence

import click

from zoo.cli._options import json_option
from zoo.cli.plugins._changes import change, change_options
from zoo.distributions import plan_upgrade


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--pre", is_flag=True, help="Versions before their release will do.")
@change_options
@json_option
def upgrade(names: Sequence[str], *, pre: bool, yes: bool, dry_run: bool, json_: bool) -> int:
    """Upgrade the plugins of these names, or all; zoo-core, torch and torchvision stay.

    A NAME is a plugin's or a distribution's. One that came from an address or a folder comes from
    there again.
    """
    with plan_upgrade(names, pre=pre) as plan:
        return change(plan, yes=yes, dry_run=dry_run, json_=json_)
