"""What the trainer's loop costs over a bare step, beside timm's, torchvision's and Lightning's.

    python benchmarks/loop.py [--model linear|conv] [--rounds 15] [--steps 200] [--json]

The model is tiny, so that a step is short and its loop shows.  Every loop trains the same model on
the same shuffled batches of 32 images of 32 px, in fp32 with fused SGD, on one thread:

bare              index the batch, normalise, forward, backward, step: nothing is counted or told.
zoo               ``Trainer.fit`` with what ``zoo train`` has: guard against non-finite values,
                  schedule, running metrics, console and metrics.jsonl, signals.  No checkpoint is
                  written, and nothing is evaluated.
timm, our batches the per-step work of ``train_one_epoch`` in timm's train.py, on batches made as
                  the bare loop makes them.
timm              the same with the torch DataLoader that the script has (no workers).
torchvision       the per-step work of ``train_one_epoch`` in torchvision's
                  references/classification/train.py, with that DataLoader.
Lightning         ``Trainer.fit`` of Lightning on that DataLoader: no logger, no checkpoint, no bar,
                  and the loss and the accuracy of the epoch by ``self.log``.  Timed within the
                  epoch.

Neither script is part of its package's wheel: both loops are written here after them, with timm's
own meters, scheduler and optimizer factory.  The DataLoader is given float images that are
normalised already, which the scripts would do for each image.

In each round every loop runs once, in turn; the figure to keep is the ratio of the medians.  What
is measured is CPU time: nothing here waits, and the turns of other programs do not count.
"""

# mypy: disable-error-code="attr-defined, no-untyped-call"
# (timm is untyped and marks no exports)

import argparse
import io
import json
import logging
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from zoo.cards import InputSpec
from zoo.config import Layer, RunConfig, resolve
from zoo.data.loading import Loader, epoch_batches
from zoo.reporting import ConsoleReporter, JsonLines, RunSummary
from zoo.runs import RunFolder
from zoo.structures import Sample
from zoo.tasks import ClassificationTask
from zoo.training import Trainer, TrainingData

BATCH_SIZE, SIZE_PX, NUM_CLASSES = 32, 32, 10
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
CPU = torch.device("cpu")
SPEC = InputSpec(size_px=SIZE_PX, resize_px=None)

Loop = Callable[[nn.Module], float]
"""Trains a model for an epoch; gives the CPU seconds that took."""


class Images:
    """Random images in memory, as zoo's data sets hold them.

    Attributes:
        images: (n, 3, 32, 32) uint8.
        targets: ``{"labels": (n,) int64}``.
    """

    name = "random"

    def __init__(self, number: int) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (number, 3, SIZE_PX, SIZE_PX)
        self.images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        self.targets = {"labels": torch.randint(0, NUM_CLASSES, (number,), generator=generator)}
        self.classes = tuple(str(label) for label in range(NUM_CLASSES))

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Sample:
        """One image and its label."""
        return Sample(self.images[index], {"labels": int(self.targets["labels"][index])})

    def describe(self, index: int) -> str:
        """The name of an image."""
        return f"random[{index}]"

    def fingerprint(self) -> str:
        """Of no interest here."""
        return "random"


class Setting:
    """What all loops share: data, the order of the batches, and how a model is run."""

    def __init__(self, *, steps: int, channels_last: bool) -> None:
        self.channels_last = channels_last
        self.data = Images(steps * BATCH_SIZE)
        self.plan = epoch_batches(len(self.data), seed=0, epoch=0, batch_size=BATCH_SIZE)
        self.indices = [[key.index for key in keys] for keys in self.plan]
        self.mean = 255 * torch.tensor(SPEC.mean).reshape(-1, 1, 1)
        self.scale = 1 / (255 * torch.tensor(SPEC.std).reshape(-1, 1, 1))
        labels = self.data.targets["labels"]
        self.floats = TensorDataset(self.normalise(self.data.images), labels)

    def normalise(self, images: Tensor) -> Tensor:
        """Of uint8, as zoo's batch stage does it."""
        return (images.float() - self.mean).mul_(self.scale)

    def arrange(self, images: Tensor) -> Tensor:
        """Into the memory format of the models."""
        if not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The shuffled batches, each by one indexing; the order is known beforehand."""
        for ids in self._ids:
            images = self.data.images.index_select(0, ids)
            yield self.normalise(images), self.data.targets["labels"][ids]

    @property
    def _ids(self) -> list[Tensor]:
        if not hasattr(self, "_tensors"):
            self._tensors = [torch.tensor(ids) for ids in self.indices]
        return self._tensors

    def loader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The same batches, each image by itself."""
        return DataLoader(self.floats, batch_sampler=self.indices)


def bare(setting: Setting) -> Loop:
    """What every loop must do."""

    def run(model: nn.Module) -> float:
        optimizer = torch.optim.SGD(
            model.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
        )
        start = time.process_time()
        for images, labels in setting.batches():
            loss = functional.cross_entropy(model(setting.arrange(images)), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return time.process_time() - start

    return run


def zoo(setting: Setting) -> Loop:
    """``Trainer.fit`` with the callbacks of ``zoo train``."""
    config = run_config(setting)
    task = ClassificationTask(classes=setting.data.classes)
    transforms = task.transforms("train", SPEC, seed=0, crop="none", flip=0.0)

    def run(model: nn.Module) -> float:
        with tempfile.TemporaryDirectory() as folder:
            summary = RunSummary(
                model="tiny",
                num_params=1,
                data=setting.data.name,
                split_sizes={"train": len(setting.data)},
                num_classes=NUM_CLASSES,
                device="cpu",
                precision="fp32",
                batch_size=BATCH_SIZE,
                epochs=1,
                run=RunFolder(Path(folder)),
                recipe=None,
            )
            console = ConsoleReporter(summary, monitor="val/top1", stream=io.StringIO())
            trainer = Trainer(
                model,
                task,
                config=config,
                data=TrainingData(
                    images=len(setting.data),
                    loader=Loader(setting.data, transforms.sample),
                    plan=lambda epoch: epoch_batches(
                        len(setting.data), seed=0, epoch=epoch, batch_size=BATCH_SIZE, pairs=True
                    ),
                    transform=transforms.batch,
                ),
                device=CPU,
                callbacks=[console, JsonLines(Path(folder, "metrics.jsonl"))],
            )
            start = time.process_time()
            trainer.fit()
            return time.process_time() - start

    return run


def run_config(setting: Setting) -> RunConfig:
    """The run of ``zoo``: one epoch, one-cycle, nothing else set."""
    values = {
        "model": {"name": "tiny"},
        "training": {"epochs": 1, "batch_size": BATCH_SIZE},
        "optimizer": {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY},
        "schedule": {"name": "one_cycle"},
        "machine": {"channels_last": setting.channels_last},
    }
    return resolve([Layer("benchmark", values)]).config


def timm_script(setting: Setting, *, own_loader: bool) -> Loop:
    """The per-step work of timm's train.py: amp, mixup, clipping, EMA and accumulation are off."""

    def run(model: nn.Module) -> float:
        optimizer = create_optimizer_v2(
            model,
            opt="momentum",
            lr=LEARNING_RATE,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        loader = setting.loader()
        scheduler, _ = create_scheduler_v2(
            optimizer,
            sched="cosine",
            num_epochs=1,
            warmup_epochs=0,
            step_on_epochs=False,
            updates_per_epoch=len(loader),
        )
        loss_function, autocast, accum_steps = nn.CrossEntropyLoss(), nullcontext, 1
        start = time.process_time()
        update_time_m, data_time_m, losses_m = AverageMeter(), AverageMeter(), AverageMeter()
        model.train()
        last_batch_idx, update_sample_count = len(loader) - 1, 0
        data_start_time = update_start_time = time.time()
        optimizer.zero_grad()
        for batch_idx, (images, target) in enumerate(loader if own_loader else setting.batches()):
            need_update = batch_idx == last_batch_idx or (batch_idx + 1) % accum_steps == 0
            images, target = images.to(CPU, torch.float32), target.to(CPU)  # noqa: PLW2901
            images = setting.arrange(images)  # noqa: PLW2901
            data_time_m.update(accum_steps * (time.time() - data_start_time))
            with autocast():
                loss = loss_function(model(images), target)
            loss.backward(create_graph=False)
            if need_update:
                optimizer.step()
            losses_m.update(loss.item() * accum_steps, images.size(0))
            update_sample_count += images.size(0)
            optimizer.zero_grad()
            time_now = time.time()
            update_time_m.update(time.time() - update_start_time)
            update_start_time = time_now
            if batch_idx % 50 == 0:
                rates = [group["lr"] for group in optimizer.param_groups]
                io.StringIO().write(
                    f"Train: 0 [{batch_idx:>4d}/{len(loader)}] Loss: {losses_m.val:#.3g}"
                    f" ({losses_m.avg:#.3g}) Time: {update_time_m.val:.3f}s,"
                    f" {update_sample_count / update_time_m.val:>7.2f}/s LR: {sum(rates):.3e}"
                    f" Data: {data_time_m.val:.3f} ({data_time_m.avg:.3f})"
                )
            scheduler.step_update(num_updates=batch_idx + 1, metric=losses_m.avg)
            update_sample_count = 0
            data_start_time = time.time()
        return time.process_time() - start

    return run


class SmoothedValue:
    """As in torchvision's references: a window of values, and their average over all."""

    def __init__(self, window_size: int = 20) -> None:
        self.deque: deque[float] = deque(maxlen=window_size)
        self.total, self.count = 0.0, 0

    def update(self, value: float, n: int = 1) -> None:
        """Add a value."""
        self.deque.append(value)
        self.count += n
        self.total += value * n


def accuracy(output: Tensor, target: Tensor, topk: tuple[int, ...]) -> list[Tensor]:
    """As in torchvision's references: percentages of a batch."""
    with torch.inference_mode():
        _, ranked = output.topk(max(topk), 1, largest=True, sorted=True)
        correct = ranked.t().eq(target[None])
        return [
            correct[:k].flatten().sum(dtype=torch.float32) * (100.0 / len(target)) for k in topk
        ]


def torchvision_script(setting: Setting) -> Loop:
    """The per-step work of torchvision's classification reference, without amp and EMA."""

    def run(model: nn.Module) -> float:
        optimizer = torch.optim.SGD(
            model.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
        )
        criterion = nn.CrossEntropyLoss()
        start = time.process_time()
        model.train()
        meters: defaultdict[str, SmoothedValue] = defaultdict(SmoothedValue)
        iter_time, data_time, end = SmoothedValue(), SmoothedValue(), time.time()
        for images, target in setting.loader():
            data_time.update(time.time() - end)
            start_time = time.time()
            images, target = images.to(CPU), target.to(CPU)  # noqa: PLW2901
            output = model(setting.arrange(images))
            loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            acc1, acc5 = accuracy(output, target, topk=(1, 5))
            meters["loss"].update(loss.item())
            meters["lr"].update(optimizer.param_groups[0]["lr"])
            meters["acc1"].update(acc1.item(), n=len(images))
            meters["acc5"].update(acc5.item(), n=len(images))
            meters["img/s"].update(len(images) / (time.time() - start_time))
            iter_time.update(time.time() - end)
            end = time.time()
        return time.process_time() - start

    return run


def lightning_fit(setting: Setting) -> Loop:
    """Lightning's own loop, with what zoo counts logged."""
    # It tells at each start what machine it found, and what it would like to be given.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

    class Module(lightning.LightningModule):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model
            self.start = self.seconds = 0.0

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(
                self.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
            )

        def on_train_epoch_start(self) -> None:
            self.start = time.process_time()

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            images, labels = batch
            logits = self.model(setting.arrange(images))
            loss = functional.cross_entropy(logits, labels)
            epoch: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": len(labels)}
            self.log("loss", loss.detach(), **epoch)
            self.log("top1", (logits.argmax(1) == labels).float().mean(), **epoch)
            return loss

        def on_train_epoch_end(self) -> None:
            self.seconds = time.process_time() - self.start

    def run(model: nn.Module) -> float:
        module = Module(model)
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, setting.loader())
        return module.seconds

    return run


def tiny_model(name: str) -> nn.Module:
    """One linear layer on pixels, or one convolution with batch norm and a classifier."""
    if name == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE_PX**2, NUM_CLASSES))
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, NUM_CLASSES),
    )


def measure(setting: Setting, model: str, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each loop in each round, after one that is not counted."""
    loops = {
        "bare": bare(setting),
        "zoo": zoo(setting),
        "timm, our batches": timm_script(setting, own_loader=False),
        "timm": timm_script(setting, own_loader=True),
        "torchvision": torchvision_script(setting),
        "Lightning": lightning_fit(setting),
    }
    times_s: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, loop in loops.items():
            torch.manual_seed(0)
            network = tiny_model(model)
            if setting.channels_last:
                network.to(memory_format=torch.channels_last)
            seconds = loop(network)
            if number:
                times_s[name].append(seconds)
    return times_s


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", choices=["linear", "conv"], default="linear")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]

    # The memory format that is natural to each: a linear layer on flat pixels has none.
    setting = Setting(steps=arguments.steps, channels_last=arguments.model == "conv")
    times_s = measure(setting, arguments.model, arguments.rounds)
    bare_s = statistics.median(times_s["bare"])
    rows = [
        {
            "loop": name,
            "median_us": round(1e6 * statistics.median(times) / arguments.steps),
            "fastest_us": round(1e6 * min(times) / arguments.steps),
            "ratio": round(statistics.median(times) / bare_s, 3),
        }
        for name, times in times_s.items()
    ]
    facts = {
        "model": arguments.model,
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "load_average": round(load, 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "lightning": lightning.__version__,
    }
    if arguments.json:
        print(json.dumps({**facts, "loops": rows}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'loop':<20}{'median us/step':>16}{'fastest us/step':>17}{'ratio':>8}")
    for row in rows:
        print("{loop:<20}{median_us:>16}{fastest_us:>17}{ratio:>8}".format(**row))


if __name__ == "__main__":
    main()
