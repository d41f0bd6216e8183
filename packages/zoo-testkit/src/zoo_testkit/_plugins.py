"""What every plugin promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class PluginContract(Contract[Case]):
    """What every plugin promises.

    Attributes:
        plugin: its name, or a pattern of full names.
    """

    kind = "plugin"
    plugin: ClassVar[str]
