"""How long zoo takes to say something, beside the least that any command line of its kind needs.

    python benchmarks/startup.py [--rounds 21] [--json]

Each round starts every program once, in turn, so that whatever else the machine does meets all of
them alike; the first round, which fills the caches, is not counted.  The figure to keep is the
ratio of the medians to ``python -c "import click, pluggy"``: at most 3.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ZOO = str(Path(sys.executable).with_name("zoo"))
BASELINE = "import click, pluggy"
PROGRAMS = {
    BASELINE: [sys.executable, "-c", BASELINE],
    "zoo --help": [ZOO, "--help"],
    "zoo list": [ZOO, "list"],
    "zoo info resnet34": [ZOO, "info", "resnet34"],
    "zoo train --help": [ZOO, "train", "--help"],
}


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    times_s = measure(arguments.rounds)
    baseline_s = statistics.median(times_s[BASELINE])
    rows = [
        {
            "program": program,
            "median_ms": round(1000 * statistics.median(times), 1),
            "fastest_ms": round(1000 * min(times), 1),
            "ratio": round(statistics.median(times) / baseline_s, 2),
        }
        for program, times in times_s.items()
    ]
    if arguments.json:
        print(json.dumps({"rounds": arguments.rounds, "programs": rows}, indent=2))
        return
    print(f"{'program':<24}{'median ms':>12}{'fastest ms':>12}{'ratio':>8}")
    for row in rows:
        print("{program:<24}{median_ms:>12}{fastest_ms:>12}{ratio:>8}".format(**row))


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of each program in each round."""
    # Without compiled modules every start would compile anew, and that is not what users wait for.
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    times_s: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    for counted in (False, *[True] * rounds):
        for program, command in PROGRAMS.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            if counted:
                times_s[program].append(time.perf_counter() - start)
    return times_s


if __name__ == "__main__":
    main()
