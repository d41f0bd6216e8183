"""The variants of a benchmark, and what one step of each is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from zoo.config import Layer
from zoo.data import Loader, open_source
from zoo.devices import autocast
from zoo.errors import ConfigError, UsageError
from zoo.evaluation import evaluating
from zoo.registry import Registry
from zoo.structures import Batch, SampleKey
from zoo.tasks import Task
from zoo.training import Trainer, TrainingData
from zoo.workflows._model import build_planned_model
from zoo.workflows._plan import RunPlan, overlay

StepFunction = Callable[[], object]

ORIGIN = "zoo benchmark"


@dataclass(frozen=True)
class Variant:
    """A choice of the speed options."""

    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """As in "bf16 channels-last compiled"."""
        words = {"channels-last": self.channels_last, "compiled": self.compiled}
        return " ".join([self.precision, *(word for word, chosen in words.items() if chosen)])


PLAIN = Variant()


def variants(device: torch.device, *, compiled: bool = False) -> list[Variant]:
    """The plain variant first; fp16 only where the trainer's scaler makes it useful."""
    precisions = ("fp32", "bf16", "fp16") if device.type == "cuda" else ("fp32", "bf16")
    eager = [Variant(name, channels_last) for name in precisions for channels_last in (False, True)]
    if not compiled:
        return eager
    return [*eager, Variant(compiled=True), Variant("bf16", channels_last=True, compiled=True)]


class Bench:
    """The batch and the task of one benchmark, and the steps of its variants."""

    def __init__(self, plan: RunPlan, registry: Registry, message: Callable[[str], None]) -> None:
        self._plan, self._registry, self._message = plan, registry, message
        config = plan.config
        torch.set_num_threads(config.machine.threads or torch.get_num_threads())
        self.device = torch.device(config.machine.device)
        source = open_source(
            plan.source,
            registry=registry,
            data=config.data,
            channels=plan.in_channels,
            message=message,
        )
        self.task: Task = registry.load(plan.task)(classes=source.classes, **plan.task_options)
        self.task.check_data(source.splits)
        split, size = source.splits["train"], config.training.batch_size
        keys = [SampleKey(0, number % len(split), number // len(split)) for number in range(size)]
        # Of an evaluation: what a recipe does in training would be measured with the model.
        transforms = self.task.transforms("val", plan.input, seed=0, **plan.transforms)
        loader = Loader(split, transforms.sample, workers=0, fill=transforms.fill)
        with self.explained(PLAIN):
            batch = transforms.batch(next(iter(loader.batches([keys]))).to(self.device))
            self.batch = _at_size(batch, plan.input.size_px)
        self._data = TrainingData(
            images=size, loader=loader, plan=lambda _epoch: [keys], transform=_as_it_is
        )

    def build(self, variant: Variant, device: torch.device) -> torch.nn.Module:
        """The model of a variant."""
        return build_planned_model(
            self._plan_of(variant),
            num_classes=self.task.num_classes,
            device=device,
            registry=self._registry,
            message=self._message,
        )

    def prepare(self, phase: str, variant: Variant) -> StepFunction:
        """What one step of a variant is, its model built."""
        model = self.build(variant, self.device)
        if phase == "training":
            return self._training_step(model, variant)
        return self._inference_step(model, variant)

    def _training_step(self, model: torch.nn.Module, variant: Variant) -> StepFunction:
        trainer = Trainer(
            model,
            self.task,
            config=self._plan_of(variant).config,
            data=self._data,
            device=self.device,
            precision=variant.precision,
        )
        model.train()
        return lambda: trainer.train_step(self.batch)

    def _inference_step(self, model: torch.nn.Module, variant: Variant) -> StepFunction:
        batch = self.batch
        if variant.channels_last:
            images = batch.images.contiguous(memory_format=torch.channels_last)
            batch = replace(batch, images=images)

        def step() -> None:
            with (
                evaluating(model),
                torch.inference_mode(),
                autocast(self.device, variant.precision),
            ):
                self.task.step(model, batch)

        return step

    def _plan_of(self, variant: Variant) -> RunPlan:
        machine = {
            "precision": variant.precision,
            "channels_last": variant.channels_last,
            "compile": variant.compiled,
        }
        layer = Layer(ORIGIN, {"machine": machine})
        return replace(self._plan, resolved=overlay(self._plan.resolved, layer))

    @contextmanager
    def explained(self, variant: Variant) -> Iterator[None]:
        """What torch says of a batch that does not fit, in words that say what to change."""
        size, px = self._plan.config.training.batch_size, self._plan.input.size_px
        images = "1 image" if size == 1 else f"{size} images"
        batch = f"a batch of {images} of {px} px"
        try:
            yield
        except (RuntimeError, ValueError) as error:
            text = (str(error).strip().splitlines() or [""])[0]
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text:
                raise UsageError(
                    f"{batch} does not fit into the memory of {self.device}",
                    "Lower --batch-size or --image-size.",
                ) from error
            raise ConfigError(
                f"{self._plan.model.card.name} ({variant.name}) fails on {batch}: {text}",
                "Try another --batch-size or --image-size.",
            ) from error


def _at_size(batch: Batch, size_px: int) -> Batch:
    """The batch at the plan's size, where an evaluation leaves images as large as they are."""
    size = (size_px, size_px)
    if batch.images.shape[-2:] == size:
        return batch
    maps = {name: target for name, target in batch.targets.items() if target.ndim == 3}
    scaled = {
        name: functional.interpolate(target[:, None].float(), size=size)[:, 0].to(target.dtype)
        for name, target in maps.items()
    }
    return replace(
        batch,
        images=functional.interpolate(batch.images, size=size),
        sizes=torch.tensor(size).expand(len(batch), 2),
        targets={**batch.targets, **scaled},
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch
