"""How many images a second zoo's training step takes on the CPU, beside torchvision's reference.

    python benchmarks/steps.py [--rounds 5] [--steps 8] [--case "resnet18 224"] [--json]

The same ResNet on the same batch of random images, ten classes, stepped by two programs:

zoo           the step of ``zoo train`` as it is by default: ``Trainer.train_step`` with bf16 where
              the CPU has it, channels-last, the fused optimizer, running metrics and the guard.
torchvision   the step of torchvision's references/classification/train.py: its model in fp32,
              torch.optim.SGD as the script makes it, the loss read at each step.

Batches are of 16 images at 224 px and of 128 at 32 px.  In each round both take their steps in
turn, after a round that is not counted; the figure to keep is the ratio of the medians.  It needs a
quiet machine: threads that wait for a core that others use wait for each other.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import nn

from zoo.config import Layer, RunConfig, resolve
from zoo.data.datasets import Resident
from zoo.data.loading import Loader
from zoo.devices import choose_precision
from zoo.models import build_model
from zoo.structures import Batch, SampleKey, SampleKeys
from zoo.tasks import ClassificationTask
from zoo.training import Trainer, TrainingData

CPU = torch.device("cpu")
CLASSES = tuple("0123456789")
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4

Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A network and its batch; zoo's images per second are to be so many times torchvision's."""

    model: str
    size_px: int
    batch_size: int
    goal: float

    @property
    def name(self) -> str:
        """As in "resnet18 224"."""
        return f"{self.model} {self.size_px}"

    def images(self) -> torch.Tensor:
        """(b, 3, h, w), normalised."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(self.batch_size, 3, self.size_px, self.size_px, generator=generator)

    def labels(self) -> torch.Tensor:
        """(b,) of the classes."""
        return torch.arange(self.batch_size) % len(CLASSES)


CASES = [
    Case("resnet18", 224, 16, 2.0),
    Case("resnet34", 224, 16, 2.0),
    Case("resnet18", 32, 128, 1.35),
    Case("resnet34", 32, 128, 1.35),
]


def zoo_step(case: Case) -> Step:
    """A step of the trainer, from a batch that is on the device already."""
    task = ClassificationTask(classes=CLASSES)
    model = build_model(case.model, num_classes=len(CLASSES))
    config = run_config(case)
    keys = SampleKeys.of(SampleKey(0, index) for index in range(case.batch_size))
    batch = Batch(
        case.images(),
        torch.tensor([case.size_px] * 2).expand(case.batch_size, 2),
        torch.arange(case.batch_size),
        {"labels": case.labels()},
        keys,
    )
    split = Resident(name="random", images=batch.images, targets=batch.targets, classes=CLASSES)
    trainer = Trainer(
        model.to(memory_format=torch.channels_last),
        task,
        config=config,
        data=TrainingData(
            images=case.batch_size,
            loader=Loader(split, None),
            plan=lambda _epoch: [keys],
            transform=lambda same: same,
        ),
        device=CPU,
        precision=choose_precision("auto", CPU),
    )
    model.train()
    return lambda: trainer.train_step(batch)


def run_config(case: Case) -> RunConfig:
    """The defaults of ``zoo train``, with the optimizer's numbers of the reference."""
    values = {
        "model": {"name": case.model},
        "training": {"epochs": 1, "batch_size": case.batch_size},
        "optimizer": {
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "momentum": MOMENTUM,
        },
    }
    return resolve([Layer("benchmark", values)]).config


def torchvision_step(case: Case) -> Step:
    """A step of the reference's ``train_one_epoch``, without amp and EMA, as its defaults are."""
    model = torchvision.models.get_model(case.model, num_classes=len(CLASSES))
    model.train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(
        model.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    images, labels = case.images(), case.labels()

    def step() -> float:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value

    return step


def measure(case: Case, rounds: int, steps: int) -> dict[str, list[float]]:
    """Images per second of each program in each round."""
    programs = {"zoo": zoo_step(case), "torchvision": torchvision_step(case)}
    speeds: dict[str, list[float]] = {name: [] for name in programs}
    for counted in (False, *[True] * rounds):
        for name, step in programs.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            if counted:
                speeds[name].append(steps * case.batch_size / (time.perf_counter() - start))
    return speeds


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]

    rows = []
    for case in CASES:
        if arguments.case is None or case.name in arguments.case:
            speeds = measure(case, arguments.rounds, arguments.steps)
            zoo, other = (statistics.median(speeds[name]) for name in ("zoo", "torchvision"))
            rows.append(
                {
                    "case": f"{case.name} px, batch {case.batch_size}",
                    "zoo_images_per_s": round(zoo, 1),
                    "torchvision_images_per_s": round(other, 1),
                    "ratio": round(zoo / other, 2),
                    "at_least": case.goal,
                }
            )
    facts = {
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "threads": torch.get_num_threads(),
        "precision": choose_precision("auto", CPU),
        "load_average": round(load, 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    if arguments.json:
        print(json.dumps({**facts, "cases": rows}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'case':<30}{'zoo':>8}{'torchvision':>13}{'ratio':>7}{'at least':>10}")
    for row in rows:
        print(
            "{case:<30}{zoo_images_per_s:>8}{torchvision_images_per_s:>13}{ratio:>7}"
            "{at_least:>10}".format(**row)
        )


if __name__ == "__main__":
    main()
