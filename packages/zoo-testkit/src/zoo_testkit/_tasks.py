"""What every task promises to the trainer, which knows none by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from PIL import Image

from zoo.cards import DatasetCard, TaskCard
from zoo.structures import EVERY_LOSS, Batch, LossSum
from zoo.tasks import Task
from zoo_testkit._material import mean_loss, seeded
from zoo_testkit._scene import Scene, SceneContract


class TaskCase(Scene):
    """A task under test."""

    @property
    def card(self) -> TaskCard:
        """Its card."""
        return cast("TaskCard", self.entry.card)

    @property
    def task_name(self) -> str:
        """Its own."""
        return self.name

    @property
    def task(self) -> Task:
        """The task itself, for the classes of its data."""
        return self.material.task


class TaskContract(SceneContract):
    """Losses that add up, predictions for each image, and data to begin with.

    Attributes:
        task: its name, or a pattern of full names.
    """

    kind = "task"
    case_class = TaskCase

    task: ClassVar[str]

    def test_default_data_are_there(self, case: TaskCase) -> None:
        """A run that names no data has some, without a download, and they are for this task."""
        entry = case.registry.default_dataset(case.entry)
        card = cast("DatasetCard", entry.card)

        assert not card.download, f"{entry.full_name} needs a download"
        assert card.task.rpartition(":")[2] == case.card.name, (
            f"{entry.full_name} is for the task {card.task!r}"
        )

    def test_names_and_docstrings_are_there(self, case: TaskCase) -> None:
        """The class has the card's name, and says what it is."""
        kind = type(case.task)

        assert kind.name == case.card.name, f"{kind.__name__}.name is {kind.name!r}"
        assert kind.__dict__.get("__doc__"), f"{kind.__name__} has no docstring"

    def test_headline_is_measured(self, case: TaskCase) -> None:
        """The metric that decides which weights are best is one of those of "val"."""
        task = case.task
        measured = {f"val/{key}" for m in task.metrics("val").values() for key in m.compute()}

        assert task.headline in measured | {"val/loss"}, (
            f"the headline is {task.headline}; measured: {', '.join(sorted(measured))}"
        )

    def test_training_has_a_finite_loss(self, case: TaskCase) -> None:
        """A number that can be differentiated, in both modes of the model."""
        for model in (case.model.train(), case.model.eval()):
            with seeded():
                loss = mean_loss(case.task, model, case.batch)

            assert loss.isfinite(), f"the loss is {loss.item()}"
            assert loss.requires_grad, "the loss has no gradient"

    def test_losses_of_micro_batches_add_up(self, case: TaskCase) -> None:
        """Sums and counts of the parts are those of the whole batch, however it is cut."""
        whole = case.step(case.batch).losses
        for size in (1, 5):
            parts = [case.step(part).losses for part in _cut(case.batch, size)]
            for name, loss in whole.items():
                total = sum(part[name].total.double() for part in parts)
                count = sum(float(part[name].count) for part in parts)

                torch.testing.assert_close(
                    total, loss.total.double(), rtol=1e-4, atol=1e-6, msg=_apart(name, "total")
                )
                torch.testing.assert_close(
                    count, float(loss.count), rtol=1e-6, atol=0, msg=_apart(name, "count")
                )

    def test_counts_come_from_the_targets_alone(self, case: TaskCase) -> None:
        """``loss_counts`` knows before the forward pass what ``step`` divides by."""
        batch = case.batch
        other = batch.with_images(torch.zeros_like(batch.images))

        expected = _counts(case.step(batch).losses)

        for images in (batch, other):
            counts = {n: float(count) for n, count in case.task.loss_counts(images).items()}
            if EVERY_LOSS in counts:
                counts = dict.fromkeys(expected, counts[EVERY_LOSS]) | counts
                del counts[EVERY_LOSS]
            assert counts == expected, f"loss_counts says {counts}; step {expected}"

    def test_every_image_gets_a_prediction(self, case: TaskCase) -> None:
        """One each, in their order, and JSON can hold what is said of it."""
        task = case.task
        with torch.no_grad(), seeded():
            predictions = task.predict(case.model, case.batch)

        assert len(predictions) == len(case.batch), (
            f"{len(predictions)} predictions for {len(case.batch)} images"
        )
        json.dumps([task.as_json(prediction) for prediction in predictions], allow_nan=False)
        assert all(isinstance(task.describe(prediction), str) for prediction in predictions)

    def test_drawing_gives_a_picture_and_leaves_the_image_alone(self, case: TaskCase) -> None:
        """A picture of its own of an answer."""
        with torch.no_grad(), seeded():
            prediction = case.task.predict(case.model, case.batch)[0]
        height, width = case.batch.sizes[0].tolist()
        image = Image.new("RGB", (width, height), "gray")
        before = image.tobytes()

        pictures = case.task.pictures(image, prediction)

        assert pictures, "there is no picture"
        assert all(isinstance(picture, Image.Image) for picture in pictures.values())
        assert image.tobytes() == before, "the image itself was drawn on"

    def test_metrics_read_the_predictions_of_a_step(self, case: TaskCase) -> None:
        """Those of "train" and of "val"; each number has a name of its own."""
        predictions = case.step(case.batch).predictions
        for split in ("train", "val"):
            values: list[str] = []
            for metric in case.task.metrics(split).values():
                metric.update(predictions, case.batch)
                values += metric.compute()

            assert len(set(values)) == len(values), f"{split}: two numbers have one name: {values}"

    def test_options_build_it_again(self, case: TaskCase) -> None:
        """Whoever uses the weights later builds the task from them; JSON keeps them."""
        task = case.task
        options = json.loads(json.dumps(dict(task.options())))

        again = type(task)(classes=task.classes, **options)  # type: ignore[call-arg]

        assert dict(again.options()) == dict(task.options()), "options() changes on the way"

    def test_transforms_depend_on_the_sample_alone(self, case: TaskCase) -> None:
        """What is random about an image is a function of seed, epoch and index."""
        for split in ("train", "val"):
            with seeded(1):
                first = case.material.batch(4, split=split)
            with seeded(2):
                second = case.material.batch(4, split=split)

            assert first.images.equal(second.images), f"{split}: other pixels when read again"


def _cut(batch: Batch, size: int) -> list[Batch]:
    return [batch.rows(start, start + size) for start in range(0, len(batch), size)]


def _counts(losses: Mapping[str, LossSum]) -> dict[str, float]:
    return {name: float(loss.count) for name, loss in losses.items()}


def _apart(name: str, what: str) -> str:
    return f"the {what} of {name} is not the sum over the micro-batches"
