"""Start a plugin: copy ``plugin_template``, with its name in place of ``tinynet``.

The template is a working plugin as it stands, so that it is checked like all other code: no
placeholder is in it, only the name in the forms that a project needs: zoo-tinynet, Tinynet and
tinynet.
"""

from __future__ import annotations

import keyword
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from zoo.errors import UsageError

_TEMPLATE = Path(__file__).parent / "plugin_template"
_TEMPLATE_NAME = "tinynet"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40
_TAKEN = {"core", "zoo", "plugin", "recipes", "torch", "tests", "noxfile"}
"""Names that would hide a module of the project, or of what it imports."""


def new_plugin(name: str, *, parent: Path, installed: Collection[str] = ()) -> Path:
    """Write a plugin project: cards, a small model, a recipe, tests.

    Args:
        name: of the plugin and its model; ``-`` counts as ``_``; ``zoo-`` before it is left out.
        parent: the project is its new folder ``zoo-NAME``.
        installed: names of plugins that are there already.

    Returns:
        The project's folder.

    Raises:
        UsageError: the name will not do, or the folder exists.
    """
    name = _checked_name(name, installed)
    project = parent / f"zoo-{name.replace('_', '-')}"
    if project.exists():
        raise UsageError(f"{project} exists", "Choose another name, or another --output.")
    files = {
        _renamed(str(file.relative_to(_TEMPLATE)), name): _renamed(file.read_text("utf-8"), name)
        for file in sorted(_TEMPLATE.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    _write_whole(project, files)
    return project


def _write_whole(project: Path, files: Mapping[str, str]) -> None:
    """Write all files of a folder, or none."""
    project.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.parent, prefix=".zoo-new-") as scratch:
        draft = Path(scratch) / project.name
        for path, text in files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, "utf-8")
        draft.rename(project)


def _checked_name(name: str, installed: Collection[str]) -> str:
    """The name of a plugin, fit to be a module's, a function's and a model's."""
    plain = name.removeprefix("zoo-").replace("-", "_")  # which a distribution's name has
    if not _NAME.fullmatch(plain) or len(plain) > _LONGEST:
        raise UsageError(
            f"{name!r} is no name for a plugin",
            f"Lower-case letters, digits and single dashes, from a letter on, at most {_LONGEST}.",
        )
    if plain in _TAKEN or keyword.iskeyword(plain):
        raise UsageError(f"{name!r} would hide something else of that name", "Choose another.")
    if plain in {other.replace("-", "_") for other in installed}:
        raise UsageError(f"a plugin {name!r} is installed already", "Choose another name.")
    return plain


def _renamed(text: str, name: str) -> str:
    """A text of the template with another name: edge_net, EdgeNet, and edge-net for pip."""
    capitals = "".join(part.capitalize() for part in name.split("_"))
    for old, new in (
        (f"zoo-{_TEMPLATE_NAME}", f"zoo-{name.replace('_', '-')}"),
        (_TEMPLATE_NAME.capitalize(), capitals),
        (_TEMPLATE_NAME, name),
    ):
        text = text.replace(old, new)
    return text
