"""The record of a plugin: what it is, what became of it, what it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from zoo.cards import Card, CardTable

FIRST_PARTY = frozenset(
    {"zoo-core", "zoo-resnet", "zoo-rcnn", "zoo-unet", "zoo-torchvision", "zoo-timm"}
)
"""The distributions made together with zoo: they own their short names."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What became of one entry point.

    Attributes:
        name: of the entry point, the part before the colon in a full name.
        distribution, version: what pip calls it.
        target: the module that the entry point names.
        needs: of zoo-core, as its distribution requires it: ``>=0.1,<0.2``.
        state: only a loaded plugin has cards.
        reason: why it is disabled or failed, in a line.
        location: of the line that failed, ``file:line``, where there is one.
        cure: what most likely helps.
        traceback: of the failure, for ``--debug``.
        cards: what it registered, by kind.
        heavy: what of torch, numpy and PIL it imported to say so, which slows every command.
        changed: what of the process it changed while it was loaded, and was undone.
        copies: versions and folders of its distribution, where there are several.
        short_names: False for a bridge to another zoo, whose names want their full form.
    """

    name: str
    distribution: str
    version: str
    target: str
    needs: str = ""
    state: Literal["loaded", "disabled", "failed"] = "loaded"
    reason: str = ""
    location: str = ""
    cure: str = ""
    traceback: str = ""
    cards: Mapping[str, Sequence[Card]] = field(default_factory=dict)
    heavy: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    short_names: bool = True

    @property
    def first_party(self) -> bool:
        """Whether it is made together with zoo."""
        return self.distribution in FIRST_PARTY

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of a plugin that works, a line each."""
        heavy = ", ".join(self.heavy)
        tables = [table.note() for table in self.cards.values() if isinstance(table, CardTable)]
        slow = f"imports {heavy} to be listed, which slows every command" if heavy else ""
        return tuple(filter(None, [slow, self.meddling, self.doubled, *tables]))

    @property
    def meddling(self) -> str:
        """What it changed of the process while it was loaded, as a sentence; empty for nothing."""
        changed = " and ".join(self.changed)
        return f"changes {changed} where it is imported, which is undone" if changed else ""

    @property
    def doubled(self) -> str:
        """Which versions of its distribution there are, as a sentence; empty for one."""
        copies = ", and ".join(self.copies)
        return f"{self.distribution} is installed in several versions: {copies}" if copies else ""

    @property
    def package(self) -> str:
        """The top-level package that its code lives in."""
        return self.target.partition(":")[0].partition(".")[0]
