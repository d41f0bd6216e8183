"""How long a first optimizer step lets one wait, beside a script with torchvision's model.

    python benchmarks/first_step.py [--rounds 7] [--json]

Every program is a fresh process that trains a ResNet-34 on the digits, batches of 32 images of 32
px, on the CPU, and is ended after its first step:

import torch      ends when torch is imported: what no program that uses torch can go below.
zoo               ``zoo train resnet34``, the command itself; the first line of its metrics.jsonl,
                  which is written after the step, is the end.
torchvision       the script that a user would write: torchvision's model, torch.optim.SGD, and
                  the same 115 KB of digits; a file that it writes after the step is the end.

Each round starts every program once, in turn; the first round, which fills the caches, is not
counted.  The figures to keep are the ratios of medians, of the CPU time where the machine is busy.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

GOAL = 0.7
"""How many times torchvision's time zoo's may take."""

IMPORT_TORCH = """
import sys
from pathlib import Path

import torch

Path(sys.argv[1]).write_text(torch.__version__)
"""

TORCHVISION = """
import sys
from importlib.resources import files
from pathlib import Path

import numpy
import torch
from torch.nn.functional import cross_entropy, interpolate
from torchvision.models import resnet34

digits = numpy.load(files("zoo.data.builtin").joinpath("digits.npz"))
images = torch.from_numpy(digits["images"])[:, None].expand(-1, 3, -1, -1).float() / 16
labels = torch.from_numpy(digits["labels"]).long()

model = resnet34(num_classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
batch = torch.randperm(len(images))[:32]
loss = cross_entropy(model(interpolate(images[batch], size=(32, 32))), labels[batch])
optimizer.zero_grad()
loss.backward()
optimizer.step()
Path(sys.argv[1]).write_text(str(loss.item()))
"""


@dataclass(frozen=True)
class Program:
    """What is started in an empty folder, and the file there that says that its step is done."""

    command: Sequence[str]
    sign: str


PROGRAMS = {
    "import torch": Program([sys.executable, "-c", IMPORT_TORCH, "done"], "done"),
    "zoo": Program(
        [
            *(sys.executable, "-m", "zoo", "train", "resnet34", "--output", "run"),
            *("--device", "cpu", "--set", "training.log_every=1"),
        ],
        "run/metrics.jsonl",
    ),
    "torchvision": Program([sys.executable, "-c", TORCHVISION, "done"], "done"),
}


@dataclass(frozen=True)
class Wait:
    """From a process's start to the end of its first step."""

    wall_s: float
    cpu_s: float


def wait_for_step(program: Program) -> Wait:
    """Start a program, wait for its sign, and end it."""
    # Without compiled modules every start would compile anew, and that is not what users wait for.
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    with tempfile.TemporaryDirectory() as folder:
        sign = Path(folder, program.sign)
        start = time.perf_counter()
        process = subprocess.Popen(
            program.command,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (sign.exists() and sign.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(f"{program.command} ended without a step")
            time.sleep(0.002)
        wall_s = time.perf_counter() - start
        process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Wait(wall_s, usage.ru_utime + usage.ru_stime)


def measure(rounds: int) -> dict[str, list[Wait]]:
    """What each program took in each round."""
    waits: dict[str, list[Wait]] = {name: [] for name in PROGRAMS}
    for counted in (False, *[True] * rounds):
        for name, program in PROGRAMS.items():
            wait = wait_for_step(program)
            if counted:
                waits[name].append(wait)
    return waits


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]

    waits = measure(arguments.rounds)
    wall_s = {name: statistics.median(w.wall_s for w in of) for name, of in waits.items()}
    cpu_s = {name: statistics.median(w.cpu_s for w in of) for name, of in waits.items()}
    rows = [
        {
            "program": name,
            "median_s": round(wall_s[name], 2),
            "ratio": round(wall_s[name] / wall_s["torchvision"], 2),
            "cpu_s": round(cpu_s[name], 2),
            "cpu_ratio": round(cpu_s[name] / cpu_s["torchvision"], 2),
        }
        for name in waits
    ]
    facts = {
        "rounds": arguments.rounds,
        "threads": os.environ.get("OMP_NUM_THREADS", "torch's default"),
        "load_average": round(load, 2),
        "python": platform.python_version(),
        "torch": version("torch"),
        "torchvision": version("torchvision"),
        "goal": GOAL,
    }
    if arguments.json:
        print(json.dumps({**facts, "programs": rows}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'program':<16}{'median s':>10}{'ratio':>8}{'CPU s':>10}{'ratio':>8}")
    for row in rows:
        print("{program:<16}{median_s:>10}{ratio:>8}{cpu_s:>10}{cpu_ratio:>8}".format(**row))


if __name__ == "__main__":
    main()
