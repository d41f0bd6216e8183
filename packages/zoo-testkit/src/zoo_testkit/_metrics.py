"""What every metric promises: one value, whatever the data were cut into."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from zoo.cards import MetricCard
from zoo.metrics import Metric
from zoo.structures import Batch
from zoo_testkit._material import seeded
from zoo_testkit._scene import Scene, SceneContract

Part = tuple[Any, Batch]
"""Predictions and the batch that they are for."""


class MetricCase(Scene):
    """A metric under test."""

    @property
    def card(self) -> MetricCard:
        """Its card."""
        return cast("MetricCard", self.entry.card)

    @property
    def task_name(self) -> str:
        """Of the predictions that it reads."""
        return self.card.task

    @cached_property
    def whole(self) -> Part:
        """Predictions for the batch; in training mode, whose norms make them differ."""
        with torch.no_grad(), seeded():
            step = self.material.task.step(self.model.train(), self.batch)
        return step.predictions, self.batch

    @cached_property
    def single(self) -> list[Part]:
        """The same, image by image."""
        return self.cut(1)

    @cached_property
    def value(self) -> dict[str, float]:
        """What the metric gives for the whole batch."""
        return self.fed([self.whole]).compute()

    def cut(self, size: int) -> list[Part]:
        """Parts of so many images, in order."""
        predictions, batch = self.whole
        return [
            (_rows(predictions, start, start + size), batch.rows(start, start + size))
            for start in range(0, len(batch), size)
        ]

    def fed(self, parts: Sequence[Part]) -> Metric:
        """A fresh metric that has read the parts."""
        metric: Metric = self.registry.load(self.entry)(classes=self.material.task.classes)
        for predictions, batch in parts:
            metric.update(predictions, batch)
        return metric


class MetricContract(SceneContract):
    """Sums that merge exactly.

    Predictions are those of a fresh model on the default data of the metric's task.

    Attributes:
        metric: its name, or a pattern of full names.
        batch_size: images in all.
    """

    kind = "metric"
    case_class = MetricCase

    metric: ClassVar[str]
    batch_size: ClassVar[int] = 24

    def test_card_says_what_is_computed(self, case: MetricCase) -> None:
        """The keys of the card, as floats, also before the first image; ``falling`` is of them."""
        for values in (case.fed([]).compute(), case.value):
            assert set(values) == set(case.card.keys), (
                f"it computes {', '.join(values)}; the card says {', '.join(case.card.keys)}"
            )
            assert all(type(value) is float for value in values.values()), f"not floats: {values}"
        strange = case.fed([]).falling - set(case.card.keys)
        assert not strange, f"falling names what is not computed: {', '.join(strange)}"

    def test_batch_size_does_not_matter(self, case: MetricCase) -> None:
        """In order, in batches of 1, 5, 7 and all."""
        for size in (1, 5, 7):
            value = case.fed(case.cut(size)).compute()
            assert _same(value, case.value), f"batches of {size}: {value}; one batch: {case.value}"

    def test_order_does_not_matter(self, case: MetricCase) -> None:
        """Image by image, in other orders."""
        expected = case.fed(case.single).compute()
        for seed in range(3):
            shuffled = random.Random(seed).sample(case.single, len(case.single))
            value = case.fed(shuffled).compute()
            assert _same(value, expected), f"in another order: {value}; in order: {expected}"

    def test_merging_any_split_gives_the_same(self, case: MetricCase) -> None:
        """The law: parts that are scored apart and merged give the value of the whole."""
        expected = case.fed(case.single).compute()
        for pieces in _splits(case.single):
            first, *others = (case.fed(piece) for piece in pieces)
            for other in others:
                first.merge(other)
            value = first.compute()
            assert _same(value, expected), f"{len(pieces)} parts: {value}; whole: {expected}"

    def test_states_can_be_summed_over_ranks(self, case: MetricCase) -> None:
        """``states`` hold all that counts: integers, float64, or rows under an image's id."""
        expected = case.fed(case.single).compute()
        for name, state in case.fed(case.single).states.items():
            exact = not state.is_floating_point() or state.dtype == torch.float64
            assert exact, f"the state {name} is {state.dtype}: sums depend on their order"
        for pieces in _splits(case.single):
            first, *others = (case.fed(piece) for piece in pieces)
            for other in others:
                Metric.merge(first, other)  # what is done over ranks, whatever merge it has
            value = first.compute()
            assert _same(value, expected), f"{len(pieces)} ranks: {value}; one: {expected}"

    def test_reset_forgets_everything(self, case: MetricCase) -> None:
        """What was read before does not show after."""
        metric = case.fed(case.single[::2])

        metric.reset()

        metric.update(*case.whole)
        assert _same(metric.compute(), case.value), "what was read before the reset still counts"

    def test_computing_changes_nothing(self, case: MetricCase) -> None:
        """It can be asked in the middle of an epoch."""
        half = len(case.single) // 2
        metric = case.fed(case.single[:half])

        metric.compute()

        for part in case.single[half:]:
            metric.update(*part)
        assert _same(metric.compute(), case.fed(case.single).compute())


def _splits(parts: Sequence[Part]) -> list[list[list[Part]]]:
    """Ways to deal the parts to 2 to 5 piles, some of them empty; always the same ways."""
    ways = []
    for seed in range(6):
        generator = random.Random(seed)
        piles: list[list[Part]] = [[] for _ in range(2 + seed % 4)]
        for part in parts:
            generator.choice(piles).append(part)
        ways.append(piles)
    return [*ways, [[], list(parts)]]


def _rows(predictions: Any, start: int, stop: int) -> Any:
    """The predictions for some of the images, whatever structure they have."""
    if isinstance(predictions, Tensor | list | tuple):
        return predictions[start:stop]
    if isinstance(predictions, Mapping):
        return {name: _rows(value, start, stop) for name, value in predictions.items()}
    if dataclasses.is_dataclass(predictions) and not isinstance(predictions, type):
        fields = [field.name for field in dataclasses.fields(predictions)]
        rows = {name: _rows(getattr(predictions, name), start, stop) for name in fields}
        return dataclasses.replace(predictions, **rows)
    return predictions


def _same(found: Mapping[str, float], expected: Mapping[str, float]) -> bool:
    """Equal to the last bit; NaN equals NaN."""
    return found.keys() == expected.keys() and all(
        found[key] == value or (math.isnan(found[key]) and math.isnan(value))
        for key, value in expected.items()
    )
