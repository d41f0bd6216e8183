"""What every model promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class CardContract(Contract[Case]):
    """What every card of a model promises."""

    kind = "model"
    model: ClassVar[str]


class ModelContract(Contract[Case]):
    """What every model promises.

    Attributes:
        model: its name, or a pattern of full names.
    """

    kind = "model"
    model: ClassVar[str]
