"""The command ``zoo`` itself: verbs that are imported when they run, and those of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from zoo import __version__
from zoo.cli._options import debug_option, no_plugins_option
from zoo.cli._output import printable
from zoo.cli._verbs import VERBS
from zoo.errors import PluginError, UnknownNameError
from zoo.registry import Entry, default_registry


class LazyGroup(click.Group):
    """A command whose verbs stand in a table: one is imported when it runs, none for help.

    Args:
        verbs: name to where the command is ("module:attribute") and its line in the help.
    """

    def __init__(self, name: str, *, verbs: Mapping[str, tuple[str, str]], **rest: Any) -> None:
        super().__init__(name, **rest)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The table's names."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb of that name, and give it the options that all have."""
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        _add_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with our words for a verb that does not exist."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            if name.startswith("-"):
                raise click.NoSuchOption(name, ctx=ctx)
            raise self.unknown(ctx, name)
        return name, command, args[1:]

    def unknown(self, ctx: click.Context, name: str) -> UnknownNameError:
        """What to raise for a verb that does not exist."""
        cure = f"See `{ctx.command_path} --help`."
        return UnknownNameError("command", name, self.list_commands(ctx), cure)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lines of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs and options, without importing a verb."""
        verbs = [
            CompletionItem(name, help=text)
            for name, text in self.summaries().items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def summaries(self) -> dict[str, str]:
        """Each verb's line."""
        return {name: summary for name, (_, summary) in self.verbs.items()}


class Zoo(LazyGroup):
    """The verbs of core, then those of the plugins, which take no name of core's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Core's verbs, then those of the plugins."""
        return [*self.verbs, *_plugin_verbs()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb of that name."""
        if cmd_name in self.verbs:
            return super().get_command(ctx, cmd_name)
        entries = _plugin_verbs()
        full_names = {entry.full_name: entry for entry in entries.values()}
        entry = entries.get(cmd_name) or full_names.get(cmd_name)
        if entry is None:
            return None
        command = _load_plugin_verb(entry)
        _add_option(command, debug_option())
        return command

    def unknown(self, ctx: click.Context, name: str) -> UnknownNameError:
        """Its plugin may have failed."""
        error = super().unknown(ctx, name)
        if failed := [p.name for p in default_registry().plugins if p.state == "failed"]:
            error.cure += (
                f" Plugins that failed to load: {', '.join(failed)}: `zoo plugins doctor`."
            )
        return error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lines of the tables; nothing is imported for them."""
        super().format_commands(ctx, formatter)
        if extra := _plugin_verbs():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [
                        (name, f"{printable(entry.card.summary)} ({entry.distribution})")
                        for name, entry in extra.items()
                    ]
                )

    def summaries(self) -> dict[str, str]:
        """Each verb's line."""
        plugins = {name: entry.card.summary for name, entry in _plugin_verbs().items()}
        return super().summaries() | plugins


def _add_options(command: click.Command) -> None:
    """Give a verb of core, and the verbs below it, the options that all have."""
    _add_option(command, debug_option())
    _add_option(command, no_plugins_option())
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _add_options(below)


def _add_option(command: click.Command, option: click.Option) -> None:
    if not any(parameter.name == option.name for parameter in command.params):
        command.params.append(option)


def _plugin_verbs() -> Mapping[str, Entry]:
    """Plugins' verbs by the name that calls them; core's names are taken, so theirs is longer."""
    registry = default_registry()
    verbs = {}
    for entry in registry.entries("command"):
        name = registry.shown_name("command", entry)
        verbs[entry.full_name if name in VERBS else name] = entry
    return verbs


def _load_plugin_verb(entry: Entry) -> click.Command:
    command = default_registry().load(entry)
    if not isinstance(command, click.Command):
        raise PluginError(
            f"command {entry.full_name} of {entry.distribution} {entry.version} "
            f"is {type(command).__name__}, not a click command"
        )
    return command


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"zoo {__version__}")
        ctx.exit()


zoo = Zoo(
    "zoo",
    verbs=VERBS,
    help="Train, evaluate and use vision models that come by `pip install`.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    params=[
        debug_option(),
        no_plugins_option(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Show the version.",
        ),
    ],
)
