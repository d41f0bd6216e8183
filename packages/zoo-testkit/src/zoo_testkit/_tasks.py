"""What every task promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class TaskContract(Contract[Case]):
    """What every task promises.

    Attributes:
        task: its name, or a pattern of full names.
    """

    kind = "task"
    task: ClassVar[str]
