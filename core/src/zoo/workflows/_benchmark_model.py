"""The model of a benchmark, alone: its batch, and what one step of each variant is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from zoo.cards import ModelCard
from zoo.config import Layer
from zoo.data.datasets import Source
from zoo.data.loading import Loader
from zoo.devices import autocast
from zoo.errors import ConfigError, UsageError
from zoo.evaluation import evaluating
from zoo.memory import is_out_of_memory
from zoo.models import fold_batch_norms
from zoo.registry import Registry
from zoo.structures import Batch, SampleKey
from zoo.tasks import Task
from zoo.training import Trainer, TrainingData
from zoo.wording import counted
from zoo.workflows._benchmark_timing import Candidate, Steps, timed
from zoo.workflows._model import build_planned_model
from zoo.workflows._plan import RunPlan, overlay

TRAINING, INFERENCE = "training", "inference"
"""The phases."""
ORIGIN = "zoo benchmark"


@dataclass(frozen=True)
class Variant:
    """A choice of the speed options; batch norms are folded in inference alone."""

    precision: str = "fp32"
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """As in "bf16 channels-last compiled"."""
        words = {
            "channels-last": self.channels_last,
            "folded": self.folded,
            "compiled": self.compiled,
        }
        return " ".join([self.precision, *(word for word, chosen in words.items() if chosen)])


PLAIN = Variant()


def variants(phase: str, device: torch.device, *, compiled: bool = False) -> list[Variant]:
    """The plain variant, and the options switched on one after the other; fp16 on CUDA beside it.

    Args:
        phase: ``TRAINING`` or ``INFERENCE``.
        device: that they run on.
        compiled: whether the last option is to compile.
    """
    steps = [PLAIN, Variant(channels_last=True), Variant("bf16", channels_last=True)]
    if phase == INFERENCE:
        steps.append(replace(steps[-1], folded=True))
    if compiled:
        steps.append(replace(steps[-1], compiled=True))
    if device.type == "cuda":
        steps.append(Variant("fp16", channels_last=True))
    return steps


class Bench:
    """The batch and the task of one benchmark, and the steps of its variants.

    Attributes:
        batch: on the device, transformed: what every step of every variant is given.
    """

    def __init__(
        self,
        plan: RunPlan,
        source: Source,
        task: Task,
        *,
        registry: Registry,
        message: Callable[[str], None],
    ) -> None:
        self._plan, self._registry, self._message = plan, registry, message
        self.task = task
        self.device = torch.device(plan.config.machine.device)
        split, size = source.splits["train"], plan.config.training.batch_size
        keys = [SampleKey(0, number % len(split), number // len(split)) for number in range(size)]
        # Of an evaluation: what a recipe does in training would be measured with the model.
        transforms = task.transforms("val", plan.input, seed=0, **plan.transforms)
        loader = Loader(split, transforms.sample, workers=0, fill=transforms.fill)
        with self.explained(PLAIN):
            batch = transforms.batch(next(iter(loader.batches([keys]))).to(self.device))
            self.batch = _at_size(batch, plan.input.size_px)
        self._data = TrainingData(
            images=size, loader=loader, plan=lambda _epoch: [keys], transform=_as_it_is
        )

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self._plan.model_card

    def candidates(self, phase: str, *, compiled: bool) -> list[Candidate]:
        """The variants of a phase."""
        return [
            Candidate(
                phase=phase,
                name=variant.name,
                start=partial(self.start, phase, variant),
                amount=len(self.batch),
                precision=variant.precision,
            )
            for variant in variants(phase, self.device, compiled=compiled)
        ]

    def start(self, phase: str, variant: Variant) -> Steps:
        """A variant, its model built and run once."""
        with self.explained(variant):
            steps = self._learning(variant) if phase == TRAINING else self._answering(variant)
            steps(1)
        return steps

    def build(self, variant: Variant, device: torch.device) -> nn.Module:
        """The model of a variant, as it is before norms are folded."""
        return build_planned_model(
            self._plan_of(variant),
            num_classes=self.task.num_classes,
            device=device,
            registry=self._registry,
            message=self._message,
        )

    def trainer(self, variant: Variant, data: TrainingData) -> Trainer:
        """What trains a variant."""
        model = self.build(variant, self.device)
        trainer = Trainer(
            model,
            self.task,
            config=self._plan_of(variant).config,
            data=data,
            device=self.device,
            precision=variant.precision,
        )
        model.train()
        return trainer

    def _learning(self, variant: Variant) -> Steps:
        trainer = self.trainer(variant, self._data)
        return timed(lambda: trainer.train_step(self.batch), self.device)

    def _answering(self, variant: Variant) -> Steps:
        model, batch = self.build(replace(variant, compiled=False), self.device).eval(), self.batch
        if variant.channels_last:
            images = batch.images.contiguous(memory_format=torch.channels_last)
            batch = batch.with_images(images)
        if variant.folded:
            single = batch.rows(0, 1)
            model = fold_batch_norms(model, lambda either: self.task.step(either, single))
        if variant.compiled:
            model.compile()
        steps = timed(lambda: self.task.step(model, batch), self.device)

        def evaluate(number: int) -> float:
            """As an evaluation does with so many batches."""
            with evaluating(model), torch.no_grad(), autocast(self.device, variant.precision):
                return steps(number)

        return evaluate

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
        batch = f"a batch of {counted(size, 'image')} of {px} px"
        try:
            yield
        except (RuntimeError, ValueError) as error:
            text = (str(error).strip().splitlines() or [""])[0]
            if is_out_of_memory(error):
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
    height, width = batch.images.shape[-2:]
    size = (size_px, size_px)
    if (height, width) == size:
        return batch
    targets = dict(batch.targets)
    for name, target in batch.targets.items():
        if name == "boxes":
            targets[name] = target * target.new_tensor([size_px / width, size_px / height] * 2)
        elif target.shape[1:] == (height, width):
            scaled = functional.interpolate(target[:, None].float(), size=size)
            targets[name] = scaled[:, 0].to(target.dtype)
    return replace(
        batch,
        images=functional.interpolate(batch.images, size=size),
        sizes=torch.tensor(size).expand(len(batch), 2),
        targets=targets,
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch
