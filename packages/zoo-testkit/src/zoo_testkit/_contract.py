"""What all contracts share: which things a class names, and what does not apply to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import pytest

from zoo.registry import Entry, Registry, default_registry, matches


class Case:
    """One thing under test; what its tests share is made once and kept here.

    Args:
        contract: the class whose tests run, which holds the settings.
        entry: of the registry.
    """

    def __init__(self, contract: type[Contract[Any]], entry: Entry, registry: Registry) -> None:
        self.contract, self.entry, self.registry = contract, entry, registry

    @property
    def name(self) -> str:
        """The full name."""
        return self.entry.full_name


CaseT = TypeVar("CaseT", bound=Case)


class Contract(Generic[CaseT]):
    """Tests that hold for every thing of a kind.

    A subclass states the name of what is tested in the attribute that is called as the kind, and
    overrides settings where it must.  Each test takes ``case``.

    Attributes:
        kind: of the registry: "model", "dataset", ...
        not_applicable: tests that do not apply, by name, each with the reason.
        registry: default: everything that is installed.
    """

    kind: ClassVar[str]
    case_class: ClassVar[type[Case]] = Case
    not_applicable: ClassVar[Mapping[str, str]] = {}
    registry: ClassVar[Registry | None] = None

    @classmethod
    def contract_cases(cls) -> list[CaseT]:
        """A case for each thing that the class names, the same ones at every call."""
        if "_cases" not in cls.__dict__:
            registry = cls.registry or default_registry()
            cls._cases = [cls.case_class(cls, entry, registry) for entry in cls._entries(registry)]
        return cls._cases

    @classmethod
    def _entries(cls, registry: Registry) -> list[Entry]:
        named = getattr(cls, cls.kind)
        if "*" in named:
            return [e for e in registry.entries(cls.kind) if matches(e, named)]
        return [registry.get(cls.kind, named)]


def not_applicable(reason: str) -> NoReturn:
    """End a test that does not apply; reported as skipped, with the reason."""
    pytest.skip(f"not applicable: {reason}")
