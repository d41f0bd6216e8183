"""Show what is about to change, ask, do it, and tell what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from zoo.cli._output import print_answer, print_json, print_message
from zoo.distributions import Outcome, Plan, carry_out, pinned_versions


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all verbs that change the environment."""
    for option in (
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Say what would change; change nothing."),
    ):
        function = option(function)
    return function


def change(plan: Plan, *, yes: bool, dry_run: bool, json_: bool) -> int:
    """Carry a plan out, unless the user says no; gives the exit code."""
    _show(plan)
    outcome = None
    if plan.changes and not dry_run:
        if sys.stdin.isatty() and not yes and not click.confirm("Go on?", default=True, err=True):
            print_message("Nothing was changed.")
            return 1
        outcome = carry_out(plan)
    if json_:
        print_json(_document(plan, outcome))
    elif outcome:
        _tell(outcome)
    return bool(outcome and _is_failure(outcome))


def _document(plan: Plan, outcome: Outcome | None) -> dict[str, Any]:
    document = {"command": plan.command, "notes": plan.notes, "done": outcome is not None}
    if outcome is None:
        return {**document, "changes": plan.changes}
    return {**document, **vars(outcome)}


def _show(plan: Plan) -> None:
    for note in plan.notes:
        print_message(note)
    if plan.command:
        print_message(str(plan))
    for item in plan.changes:
        print_message(
            f"  {item.name}: {item.before or 'not installed'} -> {item.after or 'removed'}"
        )
    if not plan.changes:
        print_message("Nothing changes.")
    elif any(item.after for item in plan.changes):
        pins = ", ".join(f"{name} {number}" for name, number in pinned_versions().items())
        print_message(f"{pins} stay as they are.")


def _tell(outcome: Outcome) -> None:
    """What came of it."""
    for plugin in outcome.brought:
        owner = f"{plugin['name']} of {plugin['distribution']} {plugin['version']}"
        if plugin["state"] == "failed":
            print_answer(f"Plugin {owner} fails: {plugin['reason']}\n  {plugin['cure']}")
            print_answer(f"  To remove it: zoo plugins uninstall {plugin['distribution']}")
        else:
            print_answer(f"Plugin {owner} brings {_names(plugin['cards'])}.")
    for plugin in outcome.broken:
        print_answer(f"Plugin {plugin['name']} fails since then: {plugin['reason']}")
    installed = [item.name for item in outcome.changes if item.after]
    if installed and not outcome.brought:
        print_answer(f"None of these brings a plugin of zoo: {', '.join(installed)}.")
    for item in outcome.changes:
        if item.after is None:
            print_answer(f"Removed {item.name} {item.before}.")


def _names(cards: dict[str, Sequence[str]]) -> str:
    """As in "model edge_net, recipe edge_net"; of many, their number."""
    texts = [
        f"{len(names)} {kind}s" if len(names) > 3 else f"{kind} {', '.join(names)}"
        for kind, names in cards.items()
        if names
    ]
    return "; ".join(texts) or "nothing"


def _is_failure(outcome: Outcome) -> bool:
    """Whether a plugin fails now, or none came where one was wanted."""
    wanted = any(item.after for item in outcome.changes)
    return bool(outcome.failed or (wanted and not outcome.brought))
