"""What every metric promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class MetricContract(Contract[Case]):
    """What every metric promises.

    Attributes:
        metric: its name, or a pattern of full names.
    """

    kind = "metric"
    metric: ClassVar[str]
