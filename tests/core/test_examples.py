"""The examples in docstrings are true."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name",
    ["zoo.errors", "zoo.plugins", "zoo.registry", "zoo.config._layers", "zoo.cli._output"],
)
def test_the_examples_of_a_module_hold(name):
    results = doctest.testmod(import_module(name))

    assert results.failed == 0
    assert results.attempted > 0
