"""What every plugin promises to the others and to the command line."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from typing import ClassVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from zoo.errors import UnknownNameError
from zoo.plugins import Plugin
from zoo.registry import Entry, Registry
from zoo_testkit._contract import Case, Contract, does_not_apply
from zoo_testkit._listing import Listing, list_in_fresh_process

CORE = "zoo-core"
PRIVATE = "Private :: Do Not Upload"


class PluginCase(Case):
    """A plugin under test."""

    @property
    def plugin(self) -> Plugin:
        """What became of it when it was loaded."""
        return next(plugin for plugin in self.registry.plugins if plugin.name == self.name)

    @property
    def listing(self) -> Listing:
        """What happens when a fresh process lists it."""
        return list_in_fresh_process(self.plugin.name, self.plugin.target)

    @property
    def metadata(self) -> PackageMetadata:
        """Of the distribution, or the end of a test that needs it."""
        try:
            return metadata(self.plugin.distribution)
        except PackageNotFoundError:
            does_not_apply(f"{self.plugin.distribution} is no installed distribution")

    def entries(self) -> list[Entry]:
        """Everything that it registers."""
        plugin = self.plugin
        return [
            Entry(card, plugin.name, plugin.distribution, plugin.version)
            for cards in plugin.cards.values()
            for card in cards
        ]


class PluginContract(Contract[PluginCase]):
    """A package that describes itself at once, and takes nobody with it.

    Attributes:
        plugin: the name of its entry point, or a pattern of names (``"acme-*"``).
    """

    kind = "plugin"
    case_class = PluginCase

    plugin: ClassVar[str]

    @classmethod
    def _matches(cls, registry: Registry, word: str) -> Sequence[str]:
        names = [plugin.name for plugin in registry.plugins]
        if found := fnmatch.filter(names, word):
            return found
        raise UnknownNameError("plugin", word, names, "See `zoo plugins list`.")

    def test_it_loads(self, case: PluginCase) -> None:
        """Its module can be imported, its hooks are marked and return cards."""
        plugin = case.plugin

        assert plugin.state == "loaded", f"{plugin.state}: {plugin.reason}"

    def test_listing_it_loads_no_torch(self, case: PluginCase) -> None:
        """Its module and its recipes are read without torch, numpy and PIL, which cost seconds."""
        heavy = case.listing.heavy

        assert not heavy, f"{case.plugin.target} imports {', '.join(heavy)}"

    def test_listing_it_prints_nothing(self, case: PluginCase) -> None:
        """Standard output belongs to zoo's answer, and a person did not ask."""
        printed = case.listing.printed

        assert not printed, f"it prints {printed.splitlines()[0]!r}"

    def test_loading_it_leaves_the_process_as_it_was(self, case: PluginCase) -> None:
        """The working folder, signals, the locale and torch's default dtype are everybody's."""
        meddling = case.plugin.meddling

        assert not meddling, f"{case.plugin.target} {meddling}"

    def test_factories_can_be_imported(self, case: PluginCase) -> None:
        """Each card's factory is there and has the parameters that the card binds."""
        for entry in case.entries():
            factory = case.registry.load(entry)
            bare = factory.func if isinstance(factory, partial) else factory
            try:
                inspect.signature(bare).bind_partial(**entry.card.options)
            except TypeError as error:
                raise AssertionError(f"{entry.full_name}: {entry.card.factory}: {error}") from None

    def test_distribution_says_which_core_it_needs(self, case: PluginCase) -> None:
        """A requirement on zoo-core with a range, which zoo checks before it loads the plugin."""
        if case.plugin.distribution == CORE:
            does_not_apply("it is core's own")
        requirements = map(Requirement, case.metadata.get_all("Requires-Dist") or ())
        ranges = [str(r.specifier) for r in requirements if canonicalize_name(r.name) == CORE]

        assert ranges, f"{case.plugin.distribution} does not require {CORE}"
        assert all(ranges), f'{CORE} without versions; say which, like "{CORE}>=0.1,<0.2"'

    def test_distribution_states_its_licence(self, case: PluginCase) -> None:
        """Nobody may use what has none; what is marked as private is not for others yet."""
        found = case.metadata
        classifiers = found.get_all("Classifier") or ()
        licences = [
            *(found.get_all("License-Expression") or ()),
            *(found.get_all("License") or ()),
            *(line for line in classifiers if line.startswith("License ::")),
        ]
        if not licences and PRIVATE in classifiers:
            does_not_apply(f'its classifier "{PRIVATE}" keeps it from being published')

        assert licences, f"{case.plugin.distribution} states no license in its pyproject.toml"
