"""``zoo plugins``: what is installed, what is wrong with it, and how more comes and goes."""

from zoo.cli._group import LazyGroup

plugins = LazyGroup(
    "plugins",
    verbs={
        "list": (
            "zoo.cli.plugins.list:list_",
            "List the plugins, their state and what they bring.",
        ),
        "doctor": ("zoo.cli.plugins.doctor:doctor", "Say why plugins fail, and what helps."),
        "install": ("zoo.cli.plugins.install:install", "Install plugins with uv or pip."),
        "upgrade": ("zoo.cli.plugins.upgrade:upgrade", "Upgrade plugins, all or some."),
        "uninstall": ("zoo.cli.plugins.uninstall:uninstall", "Remove plugins."),
        "new": ("zoo.cli.plugins.new:new", "Start a plugin of your own."),
        "check": ("zoo.cli.plugins.check:check", "Test what a plugin promises."),
    },
    help="Install, look after and write plugins.",
    no_args_is_help=True,
)
