"""The public names of zoo, and that they cost nothing until they are used."""

import subprocess
import sys

import pytest

import zoo


@pytest.mark.parametrize("name", sorted(zoo._HOMES))
def test_every_public_name_is_there(name):
    value = getattr(zoo, name)

    assert value.__module__.startswith("zoo.") or name == "hookimpl"
    assert name in dir(zoo)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'build_modle'"):
        _ = zoo.build_modle


def test_importing_zoo_and_what_a_plugin_needs_loads_nothing_heavy():
    code = (
        "import sys, zoo\n"
        "assert not [name for name in sys.modules if name.startswith('zoo.')]\n"
        "from zoo import ModelCard, hookimpl\n"
        "assert not {'torch', 'numpy', 'PIL', 'pydantic', 'click'} & sys.modules.keys()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr == ""
