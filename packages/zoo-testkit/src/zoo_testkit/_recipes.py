"""What every recipe promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._contract import Case, Contract


class RecipeContract(Contract[Case]):
    """What every recipe promises.

    Attributes:
        recipe: its name, or a pattern of full names.
    """

    kind = "recipe"
    recipe: ClassVar[str]
