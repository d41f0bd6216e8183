"""A room is used through its ``__init__``: nobody imports another room's ``_private`` files."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def room(module: Sequence[str]) -> tuple[str, ...]:
    """``zoo.tasks`` for anything in it; ``zoo.data`` has rooms of its own; a plugin is one."""
    if module[0] != "zoo":
        return tuple(module[:1])
    return tuple(module[:3] if "data" in module[1:2] else module[:2])


def imported_names(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                (node.lineno, [*(node.module or "").split("."), alias.name]) for alias in node.names
            )


def private_imports(source: Path) -> list[str]:
    """Every import of another room's private name below ``source``, as "file:line name"."""
    return [
        f"{file.relative_to(source)}:{line} {'.'.join(name)}"
        for file in sorted(source.rglob("*.py"))
        for line, name in imported_names(ast.parse(file.read_text()))
        if name[0].startswith("zoo")
        and any(part.startswith("_") and not part.startswith("__") for part in name)
        and room(name) != room(file.relative_to(source).with_suffix("").parts)
    ]


@pytest.mark.parametrize(
    "source",
    [
        path
        for members in ("core", "plugins/*", "packages/*")
        for path in ROOT.glob(f"{members}/src")
    ],
    ids=lambda path: path.parent.name,
)
def test_no_room_imports_another_rooms_private_files(source: Path) -> None:
    assert private_imports(source) == []


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("zoo/tasks/_task.py", "from zoo.data.datasets._dataset import Dataset", True),
        ("zoo/tasks/_task.py", "from zoo.data.datasets import _dataset", True),
        ("zoo/registry.py", "import zoo.config._schema", True),
        ("zoo_resnet/resnet.py", "from zoo.models._build import build_model", True),
        ("zoo/tasks/_task.py", "from zoo.tasks._losses import cross_entropy", False),
        ("zoo/data/boxes/_coco.py", "from zoo.data.files._coco import CocoFile", True),
        ("zoo/data/boxes/_coco.py", "from zoo.data.boxes._faults import MarkedBox", False),
        ("zoo/tasks/__init__.py", "from zoo.tasks._task import Task", False),
        ("zoo_resnet/resnet.py", "from zoo_resnet._blocks import Bottleneck", False),
        ("zoo/cli/list.py", "from zoo import __version__", False),
    ],
)
def test_only_other_rooms_private_files_are_found(
    file: str, line: str, found: bool, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(line)

    assert bool(private_imports(tmp_path)) is found


@pytest.mark.parametrize(
    "room",
    [
        file
        for file in sorted((ROOT / "core/src/zoo").rglob("__init__.py"))
        if "__all__" in file.read_text()
    ],
    ids=lambda file: ".".join(file.parent.relative_to(ROOT / "core/src").parts),
)
def test_a_room_names_what_it_imports(room: Path) -> None:
    tree = ast.parse(room.read_text())
    imported = {name[-1] for _, name in imported_names(tree)}
    (listed,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]

    assert {*listed} <= imported
    assert len(listed) == len({*listed})
