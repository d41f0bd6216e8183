"""The command ``zoo`` itself: verbs that are imported when they run, and those of plugins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from zoo import __version__
from zoo.cli._output import printable
from zoo.cli._verbs import VERBS
from zoo.errors import PluginError, UnknownNameError
from zoo.plugins import ONLY
from zoo.registry import Entry, default_registry


class VerbGroup(click.Group):
    """Finds a verb in core's table, else among those of the plugins; help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Core's verbs, then those of the plugins."""
        return [*VERBS, *_plugin_verbs()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb of that name."""
        if cmd_name in VERBS:
            module, _, attribute = VERBS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
        else:
            entries = _plugin_verbs()
            full_names = {entry.full_name: entry for entry in entries.values()}
            entry = entries.get(cmd_name) or full_names.get(cmd_name)
            if entry is None:
                return None
            command = _load_plugin_verb(entry)
        if not any(parameter.name == "debug" for parameter in command.params):
            command.params.append(_debug_option())
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
            failed = [p.name for p in default_registry().plugins if p.state == "failed"]
            cure = "See `zoo --help`."
            if failed:
                cure += f" Plugins that failed to load: {', '.join(failed)}: `zoo plugins list`."
            raise UnknownNameError("command", name, self.list_commands(ctx), cure)
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lines of the tables; nothing is imported for them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])
        if extra := _plugin_verbs():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [
                        (name, f"{printable(entry.card.summary)} ({entry.distribution})")
                        for name, entry in extra.items()
                    ]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs and options, without importing a verb."""
        helps = {name: summary for name, (_, summary) in VERBS.items()}
        helps |= {name: entry.card.summary for name, entry in _plugin_verbs().items()}
        verbs = [
            CompletionItem(name, help=text)
            for name, text in helps.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


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


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note_debug,
        help="Show tracebacks.",
    )


def _note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(dict)["debug"] = True


def _leave_plugins_out(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Load no plugin in this process and those that it starts."""
    if not value:
        return
    before = os.environ.get(ONLY)
    os.environ[ONLY] = ""
    default_registry.cache_clear()

    @ctx.call_on_close
    def restore() -> None:
        default_registry.cache_clear()
        if before is None:
            del os.environ[ONLY]
        else:
            os.environ[ONLY] = before


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"zoo {__version__}")
        ctx.exit()


zoo = VerbGroup(
    "zoo",
    help="Train, evaluate and use vision models that come by `pip install`.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    params=[
        _debug_option(),
        click.Option(
            ["--no-plugins"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_leave_plugins_out,
            help="Load no plugin, only core.",
        ),
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
