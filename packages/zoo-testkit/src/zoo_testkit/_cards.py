"""What the card of every model promises: cheap enough for each of a large family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import torch

from zoo.cards import WeightsCard
from zoo.checkpoint import class_names
from zoo.config import Layer
from zoo.models import StageRow, build_model, describe_structure
from zoo.workflows import plan_training
from zoo_testkit._contract import Contract, does_not_apply
from zoo_testkit._model_case import ModelCase


class CardContract(Contract[ModelCase]):
    """The facts on a model's card, and one forward pass.

    Attributes:
        model: its name, or a pattern of full names (``"resnet:*"``).
        options: of the builder.
        dataset: as ``--data`` takes it; default: the task's own.
        image_size: height and width in px; default: what the data set asks for.
        batch_size: images of a batch; default: 8, or fewer of a model that computes much.
        largest_run: parameters above which a model is counted and not run; None: run it anyway.
    """

    kind = "model"
    case_class = ModelCase

    model: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    dataset: ClassVar[str | None] = None
    image_size: ClassVar[int | None] = None
    batch_size: ClassVar[int | None] = None
    largest_run: ClassVar[int | None] = 100_000_000

    def test_card_states_what_is_counted(self, case: ModelCase) -> None:
        """Parameters and multiply-adds, at the card's size and number of classes."""
        card = case.card

        counted = _count(case)

        stated = (card.num_params, round(card.gmacs * 1e9))
        assert stated == (counted.num_params, round(counted.gmacs * 1e9)), (
            f"the card says {card.num_params:_} parameters and {card.gmacs} GMACs; "
            f"there are {counted.num_params:_} and {counted.gmacs}"
        )

    def test_it_answers_a_batch(self, case: ModelCase) -> None:
        """In evaluation mode, with finite numbers."""
        largest = case.settings.largest_run
        if largest is not None and case.card.num_params > largest:
            does_not_apply(f"more than {largest:,} parameters: counted, not run")

        answers = case.answers

        assert answers, "the answer holds no tensor"
        assert all(answer.isfinite().all() for answer in answers), "the answer has NaN or infinity"

    def test_summary_is_one_line(self, case: ModelCase) -> None:
        """A summary of one line."""
        lines = case.card.summary.splitlines()

        assert len(lines) == 1, f"the summary has {len(lines)} lines"

    def test_recipe_resolves(self, case: ModelCase) -> None:
        """The recipe of the card plans a run of this model: every name and option exists."""
        assert case.trained_by.task
        layer = Layer("contract", {"model": {"name": case.name}})

        plan = plan_training([layer], registry=case.registry)

        assert plan.model.full_name == case.name

    def test_published_weights_are_well_formed(self, case: ModelCase) -> None:
        """Where they come from, what they reach, and a name for each class."""
        if not case.card.weights:
            does_not_apply("the card names no published weights")
        names = [weights.name for weights in case.card.weights]

        assert len(set(names)) == len(names), f"two have one name: {names}"
        for weights in case.card.weights:
            _check_weights(weights, case)
        # Some may be for other classes than the card counts, but not all of them.
        counts = {len(class_names(weights)) for weights in case.card.weights if weights.classes}
        assert not counts or case.card.num_classes in counts, (
            f"there are {sorted(counts)} class names for {case.card.num_classes} classes"
        )


def _count(case: ModelCase, device: str | None = None) -> StageRow:
    """The total of the model as its card describes it; a large one on the meta device."""
    card = case.card
    if device is None:
        device = "cpu" if card.num_params < 10_000_000 and card.gmacs < 1 else "meta"
    try:
        with torch.device(device):
            model = build_model(case.name, registry=case.registry)
            return describe_structure(model, card.input, task=card.task)[-1]
    except (NotImplementedError, RuntimeError):
        if device == "cpu":
            raise
        return _count(case, "cpu")  # it looks at values, which meta tensors lack


def _check_weights(weights: WeightsCard, case: ModelCase) -> None:
    name = weights.name
    assert urlsplit(weights.url).scheme == "https", f"{name}: {weights.url} is no https address"
    if weights.classes:
        assert all(class_names(weights)), f"{name}: a line of {weights.classes} is empty"
    assert weights.preprocess.channels == case.card.input.channels, (
        f"{name}: preprocessing for {weights.preprocess.channels} channels"
    )
    assert all(0 < value <= 1 for value in weights.metrics.values()), (
        f"{name}: metrics are fractions of 1, not {dict(weights.metrics)}"
    )
    assert weights.provenance, f"{name}: no provenance"
