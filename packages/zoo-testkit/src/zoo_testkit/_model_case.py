"""A model under test: its builds, the inputs that its task gives it, and its answers to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from zoo.cards import FIXED_SIZE, NO_EXPORT, ModelCard
from zoo.config import Layer
from zoo.errors import UnknownNameError, ZooError
from zoo.models import build_model
from zoo.plugins import Plugin
from zoo.workflows import plan_training
from zoo_testkit._contract import Case, does_not_apply
from zoo_testkit._material import Material, gather_material, seeded

if TYPE_CHECKING:
    from zoo.structures import Batch

TAGS: Mapping[str, tuple[str, ...]] = {
    FIXED_SIZE: ("test_any_image_size_is_taken",),
    "no-classes": ("test_num_classes_are_obeyed",),
    "no-bf16": ("test_bf16_autocast_agrees",),
    "no-compile": ("test_compiled_agrees",),
    NO_EXPORT: ("test_exported_agrees",),
    "no-evaluation-loss": (
        "test_losses_are_there_in_training_and_in_evaluation",
        "test_training_mode_differs_only_as_it_may",
    ),
    "published-gmacs": ("test_card_states_what_is_counted",),
    "torch-draws": ("test_random_choices_come_from_the_keys",),
}
"""Tags of a card that say what does not apply to its model."""

FEWEST, MOST, GMACS_OF_A_BATCH = 2, 8, 4.0
"""Images of a batch, and the multiply-adds above which there are fewer."""


class ModelSettings(Protocol):
    """What a contract class says of its model; see ``CardContract``."""

    options: ClassVar[Mapping[str, Any]]
    dataset: ClassVar[str | None]
    image_size: ClassVar[int | None]
    batch_size: ClassVar[int | None]
    largest_run: ClassVar[int | None]
    tolerance: ClassVar[float]
    bf16_tolerance: ClassVar[float]
    differs_in_training: ClassVar[tuple[str, ...]]
    training_steps: ClassVar[int]
    learning_rate: ClassVar[float]


@dataclass(frozen=True)
class Call:
    """What a task calls its model with."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __call__(self, model: nn.Module) -> list[Tensor]:
        """The tensors of the answer, with random generators as they always are."""
        with seeded():
            return tensors_in(model(*self.args, **self.kwargs))

    @property
    def images(self) -> Tensor:
        """The images (n, c, h, w): its first tensor of four dimensions."""
        return next(tensor for tensor in tensors_in([self.args, self.kwargs]) if tensor.ndim == 4)

    def with_images(self, images: Tensor) -> Call:
        """The same call with other images."""
        mine = self.images

        def changed(value: Any) -> Any:
            return images if value is mine else value

        kwargs = {name: changed(value) for name, value in self.kwargs.items()}
        return Call(tuple(changed(value) for value in self.args), kwargs)


class ModelCase(Case):
    """A model under test."""

    _weights: Mapping[str, Tensor] | None = None

    @property
    def card(self) -> ModelCard:
        """Its card."""
        return cast("ModelCard", self.entry.card)

    @property
    def plugin(self) -> Plugin:
        """The plugin that it comes from."""
        return next(p for p in self.registry.plugins if p.name == self.entry.plugin)

    @property
    def settings(self) -> ModelSettings:
        """The contract class, which holds them."""
        return cast("ModelSettings", self.contract)

    def excuse(self, test: str) -> str | None:
        """The class says that the test does not apply, or a tag of the card does."""
        tags = [tag for tag in self.card.tags if test in TAGS.get(tag, ())]
        return super().excuse(test) or (f"the card has the tag {tags[0]}" if tags else None)

    @cached_property
    def material(self) -> Material | None:
        """Its task's data; None where nobody has the task."""
        fixed = FIXED_SIZE in self.card.tags
        return self._gather(self.card.input.size_px if fixed else self.settings.image_size)

    def _gather(self, size_px: int | None) -> Material | None:
        try:
            self.registry.get("task", self.card.task)
        except UnknownNameError:
            return None
        return gather_material(
            self.registry,
            self.card.task,
            spec=self.card.input,
            dataset=self.settings.dataset,
            size_px=size_px,
        )

    @property
    def trained_by(self) -> Material:
        """Its task's data, or the end of a test that needs them."""
        if self.material is None:
            does_not_apply(f"no plugin that is installed has the task {self.card.task!r}")
        return self.material

    @property
    def batch(self) -> Batch:
        """Training images with targets."""
        return self.trained_by.batch(self._first_run[2])

    @property
    def call(self) -> Call:
        """What the task gives to the model for ``batch``; the first of several calls."""
        return self._first_run[0]

    @property
    def answers(self) -> list[Tensor]:
        """What a fresh model says to ``call`` in evaluation: what others are compared with."""
        return self._first_run[1]

    @cached_property
    def _first_run(self) -> tuple[Call, list[Tensor], int]:
        """The call, its answers, and the images of the batch that it is for."""
        material, own_px = self.trained_by, self.card.input.size_px
        try:
            return self._run()
        except (RuntimeError, ValueError, AssertionError):
            if self.settings.image_size or material.spec.size_px >= own_px:
                raise
        self.material = self._gather(own_px)  # images of the data's size are too small for it
        return self._run()

    def _run(self) -> tuple[Call, list[Tensor], int]:
        model, batch_of = self.fresh().eval(), self.trained_by.batch
        if self.settings.batch_size is not None:
            return self._watch(model, batch_of(self.settings.batch_size))
        few = self._watch(model, batch_of(FEWEST))
        batch_size = self._affordable(few[0].images)
        return few if batch_size == FEWEST else self._watch(model, batch_of(batch_size))

    def _watch(self, model: nn.Module, batch: Batch) -> tuple[Call, list[Tensor], int]:
        """How the task calls the model, what the model answers, and to how many images in all."""
        runs: list[tuple[Call, list[Tensor]]] = []

        def record(_: nn.Module, args: Any, kwargs: Any, answer: Any) -> None:
            runs.append((Call(args, kwargs), [tensor.clone() for tensor in tensors_in(answer)]))

        handle = model.register_forward_hook(record, with_kwargs=True)
        with torch.no_grad(), seeded():
            self.trained_by.task.step(model, batch)
        handle.remove()
        if not runs:
            does_not_apply(f"the task {self.card.task!r} does not call the model as a whole")
        return *runs[0], len(batch)

    def _affordable(self, image: Tensor) -> int:
        """How many images of that size a batch may have."""
        gmacs = self.card.gmacs * image[0, 0].numel() / self.card.input.size_px**2
        return max(FEWEST, min(MOST, int(GMACS_OF_A_BATCH / max(gmacs, 1e-9))))

    def fresh(self) -> nn.Module:
        """The model as it is when new; with the same weights at every call."""
        model = self.build()
        if self._weights is None:
            self._weights = {n: value.clone() for n, value in model.state_dict().items()}
        model.load_state_dict(self._weights)
        return model

    @property
    def num_classes(self) -> int:
        """Of its data; of the card where nobody has the task."""
        return self.material.task.num_classes if self.material else self.card.num_classes

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Of the builder: those of ``zoo train NAME``, and over them those of the class.

        What a card describes may be made for large photos, and far too slow for the small images
        that a task has at hand; the recipe of the card knows what suits these.
        """
        planned: dict[str, Any] = {}
        with suppress(ZooError):  # test_recipe_resolves tells what is wrong with it
            layer = Layer("contract", {"model": {"name": self.name}})
            planned = plan_training([layer], registry=self.registry).model_options
        own = {"num_classes", "in_channels"}
        return {n: v for n, v in planned.items() if n not in own} | dict(self.settings.options)

    def build(
        self, *, num_classes: int | None = None, in_channels: int | None = None, seed: int = 0
    ) -> nn.Module:
        """A fresh model, by default for the task's classes and the card's channels."""
        with seeded(seed):
            return build_model(
                self.name,
                num_classes=self.num_classes if num_classes is None else num_classes,
                in_channels=in_channels,
                registry=self.registry,
                **self.options,
            )


def tensors_in(answer: Any) -> list[Tensor]:
    """The tensors in an answer of any structure, in its order."""
    return list(_walk(answer))


def _walk(answer: Any) -> Iterator[Tensor]:
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        for value in answer.values():
            yield from _walk(value)
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        for value in answer:
            yield from _walk(value)
    elif is_dataclass(answer):
        for field in fields(answer):
            yield from _walk(getattr(answer, field.name))


def random_images(n: int, channels: int, height: int, width: int) -> Tensor:
    """Normalised images (n, c, h, w), always the same ones."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, height, width, generator=generator)


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """How far answers are apart: the norm of the difference over the norm, of the worst tensor.

    Infinite where their number, a shape or something that is no float differs.
    """
    if [t.shape for t in found] != [t.shape for t in expected]:
        return float("inf")
    return max((_difference(*pair) for pair in zip(found, expected, strict=True)), default=0.0)


def _difference(found: Tensor, expected: Tensor) -> float:
    if torch.equal(found, expected):
        return 0.0
    if not expected.is_floating_point():
        return float("inf")
    found, expected = found.double(), expected.double()
    apart = ((found - expected).norm() / expected.norm()).item()
    return float("inf") if math.isnan(apart) else apart
