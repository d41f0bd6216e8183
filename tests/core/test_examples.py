"""The examples in docstrings are true."""

import doctest
from importlib import import_module
from importlib.util import find_spec

import pytest

names_resnet = pytest.mark.skipif(find_spec("zoo_resnet") is None, reason="an example names it")


@pytest.mark.parametrize(
    "name",
    [
        "zoo.errors",
        "zoo.plugins._faults",
        pytest.param("zoo.registry", marks=names_resnet),
        "zoo.cli._output",
        "zoo.config._layers",
        "zoo.data.files._search",
        "zoo.distributions._listing",
        "zoo.runs._storage",
        "zoo.structures._tiling",
        "zoo.tasks._drawing",
        "zoo.wording",
    ],
)
def test_the_examples_of_a_module_hold(name):
    results = doctest.testmod(import_module(name))

    assert results.failed == 0
    assert results.attempted > 0
