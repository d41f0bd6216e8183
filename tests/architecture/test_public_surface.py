"""The public surface is the one that is written down: nothing public changes unseen."""

import difflib
import importlib.util
from pathlib import Path
from types import ModuleType

import click
import pytest

ROOT = Path(__file__).parents[2]
ADVICE = """the public surface is not what docs/public-surface.txt says.
If that is meant: python docs/surface.py, and note the change in CHANGELOG.md; what goes away or
changes its meaning is deprecated first, as docs/public-api.md has it.
"""


@pytest.fixture(scope="module")
def surface() -> ModuleType:
    spec = importlib.util.spec_from_file_location("surface", ROOT / "docs" / "surface.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_public_surface_is_the_one_that_is_written_down(surface: ModuleType) -> None:
    written = (ROOT / "docs" / "public-surface.txt").read_text().splitlines()

    found = surface.surface().splitlines()

    changes = "\n".join(difflib.unified_diff(written, found, "written", "found", lineterm="", n=1))
    assert changes == "", ADVICE + changes


THING = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Thing:
    size_px: int
    name: str = "it"
    _hidden: int = 0

    def move(self, to: str, *, fast: bool = False) -> None: ...

    @property
    def place(self) -> str: ...
"""


def test_a_class_is_its_fields_methods_and_properties(surface: ModuleType) -> None:
    module = {"__name__": "zoo.things"}
    exec(THING, module)

    assert list(surface._describe("zoo.Thing", module["Thing"])) == [
        "zoo.Thing",
        "    size_px: int",
        "    name: str = 'it'",
        "    move(self, to: str, *, fast: bool = False) -> None",
        "    place: str",
    ]


def test_a_command_is_its_arguments_and_options(surface: ModuleType) -> None:
    options = [
        click.Option(["-o", "--output"], metavar="DIR"),
        click.Option(["--set"], multiple=True, metavar="KEY=VALUE"),
        click.Option(["--secret"], hidden=True),
    ]
    command = click.Command("go", params=[click.Argument(["place"]), *options])

    assert list(surface._command(click.Context(command, info_name="go"))) == [
        "go PLACE",
        "    -o --output DIR",
        "    --set KEY=VALUE (several)",
    ]
