"""Each gate is green on a clean tree, and red on a planted violation."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS = {contract["id"]: contract for contract in SETTINGS["importlinter"]["contracts"]}

CORE = "core/src/zoo"
PLUGIN = "plugins/resnet/src/zoo_resnet"
KIT = "packages/zoo-testkit/src/zoo_testkit"
MEMBERS = [
    str(package.relative_to(ROOT))
    for folder in ("plugins", "packages")
    for package in sorted(ROOT.glob(f"{folder}/*/src/*"))
]
EMPTY = '"""Nothing yet."""\n'
MODULES = ("__init__", "plugin", "pytest_plugin")
TYPED_EXAMPLES = [folder for folder in SETTINGS["mypy"]["files"] if "examples" in folder]
GATES = {
    "format": ["ruff", "format", "--check", "--no-cache", "."],
    "rules": ["ruff", "check", "--no-cache", "."],
    "types": ["mypy", "--cache-dir", os.devnull],
    "imports": ["lint-imports", "--no-cache"],
    "tests": ["pytest", "-p", "no:cacheprovider"],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The repository in miniature: every room and every member, all empty, under our settings."""
    rooms = {*rooms_of("floors"), "__init__"} - {"data"}
    files = {
        **{f"{CORE}/{name}.py": EMPTY for name in rooms},
        **{f"{CORE}/data/{name}.py": EMPTY for name in ["__init__", *rooms_of("data-floors")]},
        **{f"{member}/{name}.py": EMPTY for member in MEMBERS for name in MODULES},
        **{f"{folder}/zoo_example/__init__.py": EMPTY for folder in TYPED_EXAMPLES},
        "benchmarks/startup.py": EMPTY,
        "noxfile.py": EMPTY,
        "tests/test_one.py": "def test_one():\n    assert int('1') == 1\n".replace("'", '"'),
    }
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    plant(tmp_path, files)
    return tmp_path


def rooms_of(contract: str) -> list[str]:
    return re.findall(r"\w+", " ".join(CONTRACTS[contract]["layers"]))


def plant(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def run_gate(gate: str, tree: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = GATES[gate]
    sources = os.pathsep.join(str((tree / member).parent) for member in (CORE, *MEMBERS))
    return subprocess.run(
        [str(BIN / program), *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": sources, "COLUMNS": "200", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_is_green_on_a_clean_tree(gate: str, tree: Path) -> None:
    result = run_gate(gate, tree)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("gate", "files", "said"),
    [
        pytest.param("format", {"noxfile.py": "x=1\n"}, "would be reformatted", id="format"),
        pytest.param("rules", {f"{CORE}/runs.py": f"{EMPTY}import os\n"}, "F401", id="rules"),
        pytest.param(
            "types", {f"{CORE}/runs.py": "def f(x): return x\n"}, "no-untyped-def", id="types"
        ),
        pytest.param(
            "types",
            {f"{PLUGIN}/resnet.py": "x: int = ''\n"},
            "[assignment]",
            id="types of a plugin",
        ),
        pytest.param(
            "imports", {f"{CORE}/stray.py": EMPTY}, "zoo.stray", id="a module on no floor"
        ),
        pytest.param(
            "imports",
            {f"{CORE}/metrics.py": "import zoo.training\n"},
            CONTRACTS["floors"]["name"] + " BROKEN",
            id="a room that reaches up",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/data/datasets.py": "import zoo.data.loading\n"},
            CONTRACTS["data-floors"]["name"] + " BROKEN",
            id="a room of data that reaches up",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/data/stray.py": EMPTY},
            "zoo.data.stray",
            id="a module of data on no floor",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/tasks.py": "def f():\n    from zoo.evaluation import evaluate\n"},
            CONTRACTS["floors"]["name"] + " BROKEN",
            id="a room that reaches up inside a function",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/cards.py": "import numpy\n"},
            CONTRACTS["light"]["name"] + " BROKEN",
            id="numpy in a light room",
        ),
        pytest.param(
            "imports",
            {f"{PLUGIN}/recipes.py": "import torch\n"},
            CONTRACTS["light"]["name"] + " BROKEN",
            id="torch in a plugin's recipes",
        ),
        pytest.param(
            "imports",
            {
                f"{PLUGIN}/plugin.py": "from zoo_resnet.resnet import resnet\n",
                f"{PLUGIN}/resnet.py": "import torch\n",
            },
            CONTRACTS["light"]["name"] + " BROKEN",
            id="torch in a plugin's cards, indirectly",
        ),
        pytest.param(
            "imports",
            {f"{PLUGIN}/resnet.py": "from zoo.training import Trainer\n"},
            CONTRACTS["plugins-use-core"]["name"] + " BROKEN",
            id="a plugin that trains",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/builtin.py": "import zoo_resnet\n"},
            CONTRACTS["core-alone"]["name"] + " BROKEN",
            id="core that knows a plugin",
        ),
        pytest.param(
            "imports",
            {f"{CORE}/builtin.py": "import zoo_testkit\n"},
            CONTRACTS["core-alone"]["name"] + " BROKEN",
            id="core that knows the test kit",
        ),
        pytest.param(
            "imports",
            {f"{KIT}/plugin.py": "import zoo_resnet\n"},
            CONTRACTS["kit-apart"]["name"] + " BROKEN",
            id="a test kit that knows a plugin",
        ),
        pytest.param(
            "imports",
            {
                f"{KIT}/pytest_plugin.py": "import zoo_testkit.plugin\n",
                f"{KIT}/plugin.py": "import torch\n",
            },
            CONTRACTS["light"]["name"] + " BROKEN",
            id="torch in every run of pytest",
        ),
        pytest.param(
            "tests",
            {"tests/test_one.py": "import warnings\n\ndef test_one():\n    warnings.warn('old')\n"},
            "UserWarning: old",
            id="a warning in a test",
        ),
        pytest.param(
            "tests",
            {"tests/test_one.py": "import pytest\n\npytestmark = pytest.mark.kuda\n"},
            "'kuda' not found in `markers`",
            id="a marker that does not exist",
        ),
    ],
)
def test_a_gate_is_red_on_a_violation(
    gate: str, files: dict[str, str], said: str, tree: Path
) -> None:
    plant(tree, files)

    result = run_gate(gate, tree)

    assert result.returncode != 0, result.stdout
    assert said in result.stdout


@pytest.mark.parametrize("member", MEMBERS)
def test_the_walls_know_every_member(member: str) -> None:
    name = Path(member).name

    assert name in SETTINGS["importlinter"]["root_packages"]
    assert name in CONTRACTS["core-alone"]["forbidden_modules"]


@pytest.mark.parametrize("member", [name for name in MEMBERS if name.startswith("plugins/")])
def test_the_walls_know_every_plugin(member: str) -> None:
    name = Path(member).name

    assert name in CONTRACTS["plugins-use-core"]["source_modules"]
    assert name in CONTRACTS["plugins-apart"]["modules"]
    assert name in CONTRACTS["kit-apart"]["forbidden_modules"]
