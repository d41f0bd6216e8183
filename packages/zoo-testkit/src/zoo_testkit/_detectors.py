"""What every detector promises beside what every model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.devices import autocast
from zoo_testkit._contract import does_not_apply
from zoo_testkit._learning import backward, faults_of_gradients, steady
from zoo_testkit._material import seeded
from zoo_testkit._model_case import ModelCase, difference
from zoo_testkit._models import ModelContract

if TYPE_CHECKING:
    from zoo.structures import Batch, Detections, Step

CUT_PX = 13
"""By which one of the images is smaller than the others: no multiple of any stride."""
CLOSE_CHOICES = 0.1
"""Share of the detections, and of a loss, that may change where results are rounded otherwise:
which of two boxes suppression keeps, which proposal is the last to be looked at."""
NO_OBJECT = -1
"""The label of a row of padding."""


class DetectorContract(ModelContract):
    """The whole contract of a model whose task is detection.

    Some tests ask otherwise than those of the same name for other models: how many objects are
    found is no fixed number, and an image is answered by itself.
    """

    def test_losses_are_there_in_training_and_in_evaluation(self, case: ModelCase) -> None:
        """The same ones in both modes, each a finite sum that counts the images."""
        batch = case.batch
        model = case.fresh()

        with torch.no_grad():
            training, evaluation = (_step(case, model.train(mode), batch) for mode in (True, False))

        assert training.losses, "there are targets, and no losses in training"
        assert training.losses.keys() == evaluation.losses.keys(), (
            f"losses in training: {sorted(training.losses)}; "
            f"in evaluation: {sorted(evaluation.losses)}"
        )
        for name, loss in [*training.losses.items(), *evaluation.losses.items()]:
            assert loss.total.isfinite(), f"{name} is {loss.total.item()}"
            assert loss.count == len(batch), f"{name} counts {loss.count}, not {len(batch)} images"

    def test_images_without_objects_are_learned_from(self, case: ModelCase) -> None:
        """A finite loss, and a finite gradient of every tensor."""
        model = case.fresh().train()
        empty = _without_objects(case.batch)

        loss = backward(case, model, empty)

        unreached, broken = faults_of_gradients(model)
        assert loss.isfinite(), f"without objects the loss is {loss.item()}"
        assert not unreached, f"without objects no gradient reaches {', '.join(unreached)}"
        assert not broken, f"without objects the gradient of {', '.join(broken)} is not finite"

    def test_detections_are_given_where_they_are_asked_for(self, case: ModelCase) -> None:
        """Those of each image, without targets too; otherwise none, which saves their time."""
        model = case.fresh().eval()
        call = case.call
        images, sizes = call.args[:2]

        with torch.no_grad(), seeded():
            asked = model(images, sizes, None, keys=call.kwargs["keys"], detect=True)
            unasked = model(images, sizes, None, keys=call.kwargs["keys"], detect=False)

        assert len(asked.detections) == len(images), (
            f"detections of {len(asked.detections)} images; there are {len(images)}"
        )
        assert not asked.losses, "there are losses without targets"
        assert not unasked.detections, "there are detections that nobody asked for"

    def test_detections_are_in_order_and_on_the_image(self, case: ModelCase) -> None:
        """Boxes inside their image, scores from 0 to 1, best first, labels of the classes."""
        batch = _with_a_smaller_one(case.batch)

        with torch.no_grad():
            found = _detections(case, case.fresh().eval(), batch)

        if not any(map(len, found)):
            does_not_apply("a fresh model finds nothing")
        for of, (height, width) in zip(found, batch.sizes.tolist(), strict=True):
            _check_boxes(of.boxes, height, width)
            _check_scores(of.scores)
            _check_labels(of.labels, case.num_classes)

    def test_an_image_alone_gets_the_answer_that_it_gets_in_a_batch(self, case: ModelCase) -> None:
        """As the task asks for it, after an image of another size, and padded beside it."""
        batch = _with_a_smaller_one(case.batch)

        with torch.no_grad():
            together = _detections(case, case.fresh().eval(), batch)
            alone = [
                _detections(case, case.fresh().eval(), batch.rows(row, row + 1))[0]
                for row in range(len(batch))
            ]

        for own, beside in zip(alone, together, strict=True):
            apart = difference(_tensors(beside), _tensors(own))
            assert apart <= case.settings.tolerance, f"detections differ by {apart:.2g}"

    def test_random_choices_come_from_the_keys(self, case: ModelCase) -> None:
        """With the same keys the same losses, whatever torch's generator says, which is not asked.

        A resumed run draws the same then, and so does one with other devices.
        """
        model = steady(case.fresh().train(), case.settings.differs_in_training)
        sums = []
        for seed in (0, 1):
            with seeded(seed):
                before = torch.get_rng_state()
                losses = case.trained_by.task.step(model, case.batch).losses
                drawn = not before.equal(torch.get_rng_state())
            sums.append({name: loss.total.item() for name, loss in losses.items()})

        assert not drawn, "training draws from torch's generator, not by the keys"
        assert sums[0] == sums[1], f"with the same keys the losses are {sums[0]} and {sums[1]}"

    def test_channels_last_agrees(self, case: ModelCase) -> None:
        """Nine tenths of the detections, and losses within a tenth: close choices turn."""
        batch = case.batch
        laid_out = batch.with_images(batch.images.contiguous(memory_format=torch.channels_last))
        model = case.fresh().eval()

        with torch.no_grad():
            expected = _step(case, model, batch)
            found = _step(case, model.to(memory_format=torch.channels_last), laid_out)

        apart = difference(_totals(found), _totals(expected))
        assert apart <= CLOSE_CHOICES, f"losses differ by {apart:.2g} of their size"
        missing = 1 - _share_found_again(found.predictions, expected.predictions)
        assert missing <= CLOSE_CHOICES, f"{missing:.0%} of the detections are others"

    def test_bf16_autocast_agrees(self, case: ModelCase) -> None:
        """Finite losses, and boxes and scores in float32: bfloat16 would be off by several px."""
        model = case.fresh().eval()

        with torch.no_grad(), autocast(torch.device("cpu"), "bf16"):
            step = _step(case, model, case.batch)

        assert all(loss.total.isfinite() for loss in step.losses.values()), "a loss is not finite"
        types = {t.dtype for of in step.predictions for t in (of.boxes, of.scores)}
        assert types <= {torch.float32}, f"boxes and scores are of {', '.join(map(str, types))}"


def _step(case: ModelCase, model: nn.Module, batch: Batch) -> Step:
    with seeded():
        return case.trained_by.task.step(model, batch)


def _detections(case: ModelCase, model: nn.Module, batch: Batch) -> Sequence[Detections]:
    """Of each image, as an evaluation reads them."""
    found: Sequence[Detections] = _step(case, model, batch).predictions
    return found


def _tensors(found: Detections) -> list[Tensor]:
    return [found.boxes, found.scores, found.labels]


def _totals(step: Step) -> list[Tensor]:
    return [loss.total for loss in step.losses.values()]


def _share_found_again(found: Sequence[Detections], expected: Sequence[Detections]) -> float:
    """Of the expected: those with another of the same class, within a px and a hundredth."""
    again = [
        (
            ((of.boxes[:, None] - other.boxes).abs().amax(dim=2) <= 1)
            & ((of.scores[:, None] - other.scores).abs() <= 0.01)
            & (of.labels[:, None] == other.labels)
        ).any(dim=1)
        for other, of in zip(found, expected, strict=True)
    ]
    every = torch.cat(again).float()
    return every.mean().item() if len(every) else 1.0


def _with_a_smaller_one(batch: Batch) -> Batch:
    """The batch with its first image cut at the right and below, padded, and without objects."""
    images, sizes = batch.images.clone(), batch.sizes.clone()
    sizes[0] -= CUT_PX
    height, width = sizes[0].tolist()
    images[0, :, height:] = 0
    images[0, :, :, width:] = 0
    targets = {name: value.clone() for name, value in batch.targets.items()}
    targets["boxes"][0] = 0
    targets["labels"][0] = NO_OBJECT
    return replace(batch, images=images, sizes=sizes, targets=targets)


def _without_objects(batch: Batch) -> Batch:
    """The batch as if nobody had found an object on its images."""
    of_objects = batch.targets.keys() & {"boxes", "labels", "crowd", "difficult"}
    none = {name: batch.targets[name][:, :0] for name in of_objects}
    return replace(batch, targets={**batch.targets, **none})


def _check_boxes(boxes: Tensor, height: int, width: int) -> None:
    left, top, right, bottom = boxes.unbind(dim=1)
    inside = (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)
    assert inside.all(), f"{_first(boxes, ~inside)} is not on the image of {height} x {width} px"
    sound = (left <= right) & (top <= bottom)
    assert sound.all(), f"{_first(boxes, ~sound)} is not x1 y1 x2 y2"


def _first(boxes: Tensor, chosen: Tensor) -> str:
    return f"box {[round(px, 1) for px in boxes[chosen][0].tolist()]}"


def _check_scores(scores: Tensor) -> None:
    sound = (scores >= 0) & (scores <= 1)
    assert sound.all(), f"a score of {scores[~sound][0].item():.4g} is not from 0 to 1"
    assert (scores.diff() <= 0).all(), "scores are not sorted, the best first"


def _check_labels(labels: Tensor, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    assert not len(wrong), f"a label is {wrong[0].item()}; classes are 0 to {num_classes - 1}"
