"""What every dataset promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class DatasetContract(Contract[Case]):
    """What every dataset promises.

    Attributes:
        dataset: its name, or a pattern of full names.
    """

    kind = "dataset"
    dataset: ClassVar[str]
