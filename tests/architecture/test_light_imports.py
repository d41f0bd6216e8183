"""What lists and describes starts without torch: import-linter reads the code, this runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "numpy", "PIL"}
PLUGIN_FILES = sorted(
    file for name in ("plugin", "recipes") for file in ROOT.glob(f"plugins/*/src/*/{name}.py")
)

RUN_COMMAND = f"""
import sys
sys.argv[0] = "zoo"
from zoo.cli import main
try:
    status = main()
except SystemExit as end:
    status = end.code
sys.exit(f"exit {{status or 0}}, heavy {{sorted({HEAVY} & set(sys.modules))}}")
"""


TRAINING = {
    "PIL",
    "annotated_types",
    "click",
    "numpy",
    "platformdirs",
    "pluggy",
    "pydantic",
    "pydantic_core",
    "rich",
    "safetensors",
    "simplejpeg",
    "tomli_w",
    "torch",
    "typing_inspection",
}
"""What `zoo train` loads of other distributions, besides what `import torch` loads of them."""
COMPILERS = {"sympy", "torch._dynamo", "torch._inductor"}

TRAIN = f"""
import sys
from importlib.metadata import packages_distributions

def loaded():
    installed = {{name for name in packages_distributions() if not name.startswith("zoo")}}
    return {{name.partition(".")[0] for name in sys.modules}} & installed

import torch
with_torch = loaded()
from zoo.cli._main import run
status = run(["train", *sys.argv[1:], "--max-steps", "1", "--device", "cpu"])
strangers = sorted(loaded() - with_torch - {TRAINING} | ({COMPILERS} & {{*sys.modules}}))
missing = sorted({TRAINING} - loaded())
print(f"exit {{status}}, strangers {{strangers}}, missing {{missing}}")
"""


def run_python(code: str, *arguments: str) -> str:
    """The last line of a fresh process's standard error or, failing that, output."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    return (result.stderr or result.stdout).splitlines()[-1]


@pytest.mark.parametrize(
    "module",
    [
        "zoo",
        "zoo.errors",
        "zoo.cards",
        "zoo.config",
        "zoo.hooks",
        "zoo.builtin",
        "zoo.plugins",
        "zoo.registry",
        "zoo.distributions",
        "zoo.runs",
        "zoo.cli",
        *(f"{file.parent.name}.{file.stem}" for file in PLUGIN_FILES),
    ],
)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    loaded = run_python(f"import sys, {module}; print(sorted({HEAVY} & set(sys.modules)))")

    assert loaded == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "train --help",
        "list",
        "list recipes",
        "list --json",
        "info resnet34",
        "info resnet34 --json",
        "plugins list",
        "plugins install --help",
    ],
)
def test_a_command_that_only_tells_loads_nothing_heavy(command: str) -> None:
    said = run_python(RUN_COMMAND, *command.split())

    assert said == "exit 0, heavy []"


@pytest.mark.parametrize("model", ["resnet20", "unet_small"])
def test_a_whole_training_loads_just_what_it_needs(model: str, tmp_path: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-c", TRAIN, model, "--output", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    assert output == "exit 0, strangers [], missing []\n"


def test_a_heavy_import_would_be_seen() -> None:
    loaded = run_python(f"import sys, numpy; print(sorted({HEAVY} & set(sys.modules)))")

    assert loaded == "['numpy']"
