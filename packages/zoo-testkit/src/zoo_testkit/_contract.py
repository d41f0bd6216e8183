"""What all contracts share: the things that a class names, and what does not apply to them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

import pytest

from zoo.errors import UsageError, did_you_mean
from zoo.registry import default_registry

if TYPE_CHECKING:
    from zoo.registry import Entry, Registry

TEST = "test_"


class Case:
    """One thing under test.  What its tests share is made once and kept here.

    Attributes:
        contract: the class whose tests run; it holds the settings.
        name: full name.
    """

    def __init__(self, contract: type[Contract[Any]], name: str, registry: Registry) -> None:
        self.contract, self.name, self.registry = contract, name, registry

    @property
    def entry(self) -> Entry:
        """Its card and who it comes from."""
        return self.registry.get(self.contract.kind, self.name)

    def excuse(self, test: str) -> str | None:
        """Why a test does not apply, where that is known beforehand."""
        return self.contract.not_applicable.get(test)

    def forget(self) -> None:
        """Let go of what was made for the tests; the models of a family would fill the memory."""
        for name in vars(self).keys() - {"contract", "name", "registry"}:
            delattr(self, name)


CaseT = TypeVar("CaseT", bound=Case)


class Contract(Generic[CaseT]):
    """Tests that hold for every thing of a kind; each takes ``case``.

    A subclass names what is tested in the attribute that is called like the kind
    (``model = "tinynet"``; several in one string, ``"tinynet:*"`` for all that match), and
    overrides settings where it must.

    Attributes:
        kind: of the registry: "model", "dataset", ...; or "plugin".
        not_applicable: names of tests that do not apply, each with the reason.
        registry: default: everything that is installed.
    """

    kind: ClassVar[str]
    case_class: ClassVar[type[Case]] = Case
    not_applicable: ClassVar[Mapping[str, str]] = {}
    registry: ClassVar[Registry | None] = None
    _cases: ClassVar[list[Any] | None] = None

    def __init_subclass__(cls) -> None:
        cls._cases = None

    @classmethod
    def contract_cases(cls) -> list[CaseT]:
        """A case for each thing that the class names; the same ones at every call.

        Raises:
            UsageError: the class names nothing that is there, or a test that is not.
        """
        if cls._cases is None:
            cls._check_not_applicable()
            registry = cls.registry or default_registry()
            cls._cases = [cls.case_class(cls, name, registry) for name in cls._names(registry)]
        return cls._cases

    @classmethod
    def contract_tests(cls) -> list[str]:
        """The names of the tests, in the order in which they are written."""
        names = [name for base in reversed(cls.__mro__) for name in vars(base)]
        return [name for name in dict.fromkeys(names) if name.startswith(TEST)]

    @classmethod
    def _names(cls, registry: Registry) -> Sequence[str]:
        """Full names of what the class names."""
        named = getattr(cls, cls.kind, None)
        if not isinstance(named, str):
            raise UsageError(f"{cls.__name__} names no {cls.kind}", f'Give it {cls.kind} = "NAME".')
        return [name for word in named.split() for name in cls._matches(registry, word)]

    @classmethod
    def _matches(cls, registry: Registry, word: str) -> Sequence[str]:
        """What one name or pattern stands for."""
        if "*" not in word:
            return [registry.get(cls.kind, word).full_name]
        names = [entry.full_name for entry in registry.entries(cls.kind)]
        found = fnmatch.filter(names, word)
        if not found:
            raise UsageError(f"{cls.__name__}: no {cls.kind} matches {word!r}")
        return found

    @classmethod
    def _check_not_applicable(cls) -> None:
        tests = cls.contract_tests()
        for name in cls.not_applicable:
            if name not in tests:
                near = "".join(f"Did you mean {n}?" for n in did_you_mean(name, tests, 1))
                raise UsageError(f"{cls.__name__}.not_applicable: there is no test {name!r}", near)


def does_not_apply(reason: str) -> NoReturn:
    """End a test that says nothing about its case; reported as skipped, with the reason."""
    pytest.skip(f"not applicable: {reason}")
