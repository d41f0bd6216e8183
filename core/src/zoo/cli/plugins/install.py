"""``zoo plugins install``: by uv or pip, into the environment that zoo runs in."""

from __future__ import annotations

from collections.abc import Sequence

import click

from zoo.cli._options import json_option
from zoo.cli.plugins._changes import change, change_options
from zoo.distributions import plan_install


@click.command()
@click.argument("sources", nargs=-1, metavar="NAME|PATH|WHEEL|GIT-URL...")
@click.option(
    "--editable", "-e", multiple=True, metavar="PATH", help="A folder to link to; repeatable."
)
@click.option("--upgrade", "-U", is_flag=True, help="Take the newest version of what is there.")
@click.option("--pre", is_flag=True, help="Versions before their release will do.")
@change_options
@json_option
def install(
    sources: Sequence[str],
    *,
    editable: Sequence[str],
    upgrade: bool,
    pre: bool,
    yes: bool,
    dry_run: bool,
    json_: bool,
) -> int:
    """Install plugins with the environment's own installer: uv where there is one, else pip.

    \b
        zoo plugins install zoo-tinynet
        zoo plugins install --editable ./zoo-tinynet
        zoo plugins install git+https://example.org/zoo-tinynet.git

    zoo-core, torch and torchvision stay as they are. A plugin is code that runs with your rights:
    install what you trust. Exits with 1 where what was installed does not load.
    """  # noqa: D301 (click's mark for lines to be left as they are)
    with plan_install(sources, editable=editable, upgrade=upgrade, pre=pre) as plan:
        return change(plan, yes=yes, dry_run=dry_run, json_=json_)
