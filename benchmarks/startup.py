"""How long zoo takes to say something, beside the least that any command line of its kind needs.

    python benchmarks/startup.py [--rounds 21] [--json]

Each round starts every program once, in turn, so that whatever else the machine does meets all of
them alike; the first round, which fills the caches, is not counted.  The figures to keep are
ratios of medians; ``GOALS`` has them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ZOO = str(Path(sys.executable).with_name("zoo"))
BASELINE = "import click, pluggy"
ONE, HUNDRED = "zoo list, 1 plugin", "zoo list, 100 plugins"
GOALS = {
    ("zoo --help", BASELINE): 3,
    ("zoo list resnet", BASELINE): 3,
    ("zoo info resnet34", BASELINE): 3,
    ("zoo info timm:convnext_tiny", BASELINE): 3,
    ("zoo train --help", BASELINE): 3,
    ("zoo list, piped", "zoo --help"): 5,
    ("zoo list --json", "zoo --help"): 5,
    (HUNDRED, ONE): 2,
}
"""How many times the second program's time the first may take."""

PLUGIN = """
from zoo import ModelCard, hookimpl

@hookimpl
def zoo_models():
    return [ModelCard(name="net{number}", task="classification", summary="a network",
                      factory="m:f", num_params=1, gmacs=1.0)]
"""


@dataclass(frozen=True)
class Program:
    """What is started, and what its environment has beside ours."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        times_s = measure(programs(Path(folder)), arguments.rounds)
    medians_s = {name: statistics.median(times) for name, times in times_s.items()}
    times_ms = [
        {
            "program": name,
            "median_ms": round(1000 * medians_s[name], 1),
            "fastest_ms": round(1000 * min(times), 1),
        }
        for name, times in times_s.items()
    ]
    ratios = [
        {
            "program": program,
            "beside": other,
            "ratio": round(medians_s[program] / medians_s[other], 2),
            "at_most": goal,
        }
        for (program, other), goal in GOALS.items()
    ]
    if arguments.json:
        document = {"rounds": arguments.rounds, "programs": times_ms, "ratios": ratios}
        print(json.dumps(document, indent=2))
        return
    print(f"{'program':<30}{'median ms':>12}{'fastest ms':>12}")
    for row in times_ms:
        print("{program:<30}{median_ms:>12}{fastest_ms:>12}".format(**row))
    print(f"\n{'program':<30}{'beside':<24}{'ratio':>8}{'at most':>9}")
    for row in ratios:
        print("{program:<30}{beside:<24}{ratio:>8}{at_most:>9}".format(**row))


def programs(folder: Path) -> dict[str, Program]:
    """The programs by name; those with many plugins find them in folders made here."""
    zoo = {
        "zoo --help": ["--help"],
        "zoo list, piped": ["list"],
        "zoo list --json": ["list", "--json"],
        "zoo list resnet": ["list", "resnet"],
        "zoo info resnet34": ["info", "resnet34"],
        "zoo info timm:convnext_tiny": ["info", "timm:convnext_tiny"],
        "zoo train --help": ["train", "--help"],
    }
    started = {BASELINE: Program([sys.executable, "-c", BASELINE])}
    started |= {name: Program([ZOO, *words]) for name, words in zoo.items()}
    for name, count in ((ONE, 1), (HUNDRED, 100)):
        site = install_plugins(folder / str(count), count)
        only = ",".join(f"plugin{number}" for number in range(count))
        environment = {"PYTHONPATH": str(site), "ZOO_PLUGINS": only}
        started[name] = Program([ZOO, "list"], environment)
    return started


def install_plugins(site: Path, count: int) -> Path:
    """A folder of installed distributions, each with a plugin of one model."""
    for number in range(count):
        metadata = site / f"zoo_plugin{number}-0.1.dist-info"
        metadata.mkdir(parents=True)
        metadata.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: zoo-plugin{number}\nVersion: 0.1\n"
            "Requires-Dist: zoo-core<0.2,>=0.1\n"
        )
        metadata.joinpath("entry_points.txt").write_text(
            f"[zoo.plugins]\nplugin{number} = zoo_plugin{number}.plugin\n"
        )
        package = site / f"zoo_plugin{number}"
        package.mkdir()
        package.joinpath("__init__.py").touch()
        package.joinpath("plugin.py").write_text(PLUGIN.replace("{number}", str(number)))
    return site


def measure(started: dict[str, Program], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program in each round."""
    # Without compiled modules every start would compile anew, and that is not what users wait for.
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    times_s: dict[str, list[float]] = {name: [] for name in started}
    for counted in (False, *[True] * rounds):
        for name, program in started.items():
            start = time.perf_counter()
            subprocess.run(
                program.command,
                env={**environment, **program.environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            if counted:
                times_s[name].append(time.perf_counter() - start)
    return times_s


if __name__ == "__main__":
    main()
