"""Complete names from the registry on TAB; nothing is imported that listing does not need."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from zoo.registry import default_registry

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names(kind: str) -> Completer:
    """The names of a kind that begin with what is typed, for click's ``shell_complete=``."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        registry = default_registry()
        return [
            CompletionItem(name, help=entry.card.summary)
            for entry in registry.entries(kind)
            if (name := registry.shown_name(kind, entry)).startswith(incomplete)
        ]

    return complete
