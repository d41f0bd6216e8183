"""Find the installed plugins and load each one in isolation, so that one that fails harms nobody.

pluggy's own loader stops at the first plugin that raises, and drops the second of two
distributions that use one entry-point name without a word.  So zoo walks the entry points itself:
pluggy holds the hook specifications and checks each plugin's implementations against them.

A plugin ends as a record: loaded, disabled or failed.  What no record can hold is a plugin that
ends the process (``os._exit``, a crash in C) or never returns: for the latter a line on stderr
says whom zoo is waiting for, and ``zoo plugins doctor`` finds either by loading each plugin in a
process of its own.
"""

from zoo.plugins._calling import KINDS
from zoo.plugins._faults import Fault, describe_fault, in_a_line, modules_of
from zoo.plugins._loading import ONLY, WITHOUT, load_plugins, plugin_choice
from zoo.plugins._metadata import UNKNOWN, installed_plugins
from zoo.plugins._plugin import FIRST_PARTY, Plugin
from zoo.plugins._process_state import process_state_kept

__all__ = [
    "FIRST_PARTY",
    "KINDS",
    "ONLY",
    "UNKNOWN",
    "WITHOUT",
    "Fault",
    "Plugin",
    "describe_fault",
    "in_a_line",
    "installed_plugins",
    "load_plugins",
    "modules_of",
    "plugin_choice",
    "process_state_kept",
]
