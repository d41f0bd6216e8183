"""A step for which memory runs out is the step of a run with smaller micro-batches."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.checkpoint import latest_checkpoint
from zoo.errors import DeviceMemoryError
from zoo.reporting import JsonLines
from zoo.structures import Batch, Step
from zoo.training import Callback, Trainer
from zoo.training._snapshot import capture

Build = Callable[..., Trainer]
Restore = Callable[[Trainer, Path], Trainer]

SETTINGS: dict[str, Any] = {
    "training": {"epochs": 2, "ema": {"decay": 0.9}, "clip_norm": 1.0},
    "optimizer": {"name": "adamw", "learning_rate": 1e-2},
}
"""With the tests' model, which has batch norm and dropout: everything that a step changes."""


def out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def fail_at(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but for its call of that number, for which memory runs out."""
    numbers = iter(range(1, 10_000))

    def call(*arguments: Any) -> Any:
        if next(numbers) == number:
            out_of_memory()
        return function(*arguments)

    return call


def fail_in_forward(trainer: Trainer, number: int) -> None:
    """After batch norm has changed its buffers and dropout its random numbers."""
    trainer.model.fc.forward = fail_at(number, trainer.model.fc.forward)


def fail_in_backward(trainer: Trainer, number: int) -> None:
    """When the gradients of the last layers are there already."""
    watch = fail_at(number, lambda gradient: gradient)
    forward = trainer.model.conv.forward

    def watched(images: Tensor) -> Tensor:
        maps = forward(images)
        if maps.requires_grad:
            maps.register_hook(watch)
        return maps

    trainer.model.conv.forward = watched


def fail_in_update(trainer: Trainer, number: int) -> None:
    """When a part of the optimizer's state is allocated."""
    trainer.optimizer._new_state = fail_at(number, trainer.optimizer._new_state)


class RunOut(Callback):
    """Memory runs out in the step after ``step``, at a call of that number; words are kept."""

    def __init__(
        self, step: int = 0, fail: Callable[[Trainer, int], None] | None = None, number: int = 1
    ) -> None:
        self.step, self.fail, self.number = step, fail, number
        self.said: list[str] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        self.on_step_end(trainer, trainer.progress)

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step == self.step and self.fail:
            self.fail(trainer, self.number)

    def on_message(self, trainer: Trainer, message: str) -> None:
        self.said.append(message)


def shrink(trainer: Trainer, images: int) -> None:
    trainer.memory.training.images = images


def settings(**training: Any) -> dict[str, Any]:
    return {**SETTINGS, "training": {**SETTINGS["training"], **training}}


def fitted(build: Build, settings: Any, *callbacks: Callback, **options: Any) -> Trainer:
    """Built, which seeds, and trained at once."""
    trainer = build(settings, callbacks=callbacks, **options)
    trainer.fit()
    return trainer


def state(trainer: Trainer) -> Mapping[str, Tensor]:
    """Weights, buffers, average, optimizer, metrics, random numbers: all that a run is."""
    return capture(trainer)[0]


def assert_same(trainer: Trainer, expected: Trainer) -> None:
    torch.testing.assert_close(state(trainer), state(expected), rtol=0, atol=0)


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("fail", [fail_in_forward, fail_in_backward, fail_in_update])
def test_a_run_out_of_memory_is_the_run_with_half_the_micro_batch(
    build: Build, fail: Callable[[Trainer, int], None], number: int
) -> None:
    halves = fitted(build, settings(micro_batch_size=1))

    trainer = fitted(build, settings(micro_batch_size=2), RunOut(0, fail, number))

    assert_same(trainer, halves)


@pytest.mark.parametrize("step", [1, 2, 6])
def test_memory_may_run_out_at_any_step(build: Build, step: int) -> None:
    expected = fitted(build, SETTINGS, RunOut(step, shrink, 4))

    trainer = fitted(build, SETTINGS, RunOut(step, fail_in_backward))

    assert_same(trainer, expected)


def test_an_update_that_fails_at_a_later_step_is_taken_back(build: Build) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        trainer.optimizer.step = fail_at(number, trainer.optimizer.step)

    expected = fitted(build, SETTINGS, RunOut(3, shrink, 4))

    trainer = fitted(build, SETTINGS, RunOut(3, fail))

    assert_same(trainer, expected)


def test_fp16_scales_as_it_would_have(build: Build) -> None:
    expected = fitted(build, settings(micro_batch_size=4), precision="fp16")

    trainer = fitted(build, SETTINGS, RunOut(0, fail_in_update, 3), precision="fp16")

    assert_same(trainer, expected)
    assert trainer.scaler.state_dict() == expected.scaler.state_dict()


def test_what_a_failed_try_computed_is_freed_before_the_next(build: Build) -> None:
    held: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def fail(trainer: Trainer, number: int) -> None:
        fail_in_backward(trainer, number)
        task_step = trainer.task.step

        def watched(model: nn.Module, batch: Batch) -> Step:
            alive.append(sum(loss() is not None for loss in held))
            step = task_step(model, batch)
            held.append(weakref.ref(step.losses["cross_entropy"].total))
            return step

        trainer.task.step = watched

    fitted(build, settings(max_steps=1, micro_batch_size=4), RunOut(0, fail, 2))

    assert alive[:3] == [0, 1, 0]  # two passes, of which the second fails, and the first anew


def test_memory_may_run_out_again_and_again_in_one_step(build: Build) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        fail_in_forward(trainer, number)
        fail_in_backward(trainer, number)

    heard = RunOut(0, fail)
    expected = fitted(build, settings(micro_batch_size=2))

    trainer = fitted(build, SETTINGS, heard)

    assert_same(trainer, expected)
    assert len(heard.said) == 1
    assert "memory for 7 images at once: 2 at a time from here on" in heard.said[0]
    assert "batch norm sees fewer images" in heard.said[0]


def test_the_result_and_the_log_say_how_much_fitted(build: Build, folder: Path) -> None:
    log = JsonLines(folder / "metrics.jsonl")
    trainer = build(SETTINGS, callbacks=[log, RunOut(1, fail_in_forward)])

    result = trainer.fit()

    assert result.micro_batch_size == 4
    line = json.loads(log.path.read_text().splitlines()[0])
    assert (line["event"], line["step"]) == ("message", 1)
    assert "4 at a time from here on" in line["message"]


def test_a_resume_begins_with_what_fitted(build: Build, restore: Restore, folder: Path) -> None:
    class Stop(Callback):
        def on_step_end(self, trainer: Trainer, progress: Any) -> None:
            if progress.step == 6:
                raise KeyboardInterrupt

    saving = settings(save_every=5)
    whole = fitted(build, saving, RunOut(2, fail_in_forward))
    with pytest.raises(KeyboardInterrupt):
        fitted(build, saving, RunOut(2, fail_in_forward), Stop(), folder=folder)

    resumed = restore(build(saving, folder=folder), folder)
    resumed.fit()

    assert resumed.memory.training.images == 4
    assert_same(resumed, whole)


def test_a_resume_may_be_told_to_use_less(build: Build, restore: Restore, folder: Path) -> None:
    build(settings(epochs=1), folder=folder, callbacks=[RunOut(2, fail_in_forward)]).fit()

    resumed = restore(build(settings(micro_batch_size=2), folder=folder), folder)

    assert resumed.memory.training.images == 2


def test_one_image_that_does_not_fit_ends_the_run_and_leaves_its_checkpoint(
    build: Build, folder: Path
) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        trainer.model.fc.forward = out_of_memory

    trainer = build(SETTINGS, folder=folder, callbacks=[RunOut(6, fail)])

    with pytest.raises(DeviceMemoryError, match="a single image") as caught:
        trainer.fit()

    newest = latest_checkpoint(folder / "checkpoints", warn=pytest.fail)
    assert caught.value.exit_code == 1
    assert newest is not None
    assert newest.step == 4


def test_another_error_of_the_model_is_not_taken_for_it(build: Build) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        trainer.model.fc = nn.Linear(5, 3)

    trainer = build(SETTINGS, callbacks=[RunOut(2, fail)])

    with pytest.raises(RuntimeError, match="shapes"):
        trainer.fit()

    assert trainer.state.step == 2


def test_an_update_of_torchs_own_that_may_be_half_done_is_an_error(build: Build) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        trainer.optimizer.step = out_of_memory

    trainer = build({"optimizer": {"name": "rmsprop"}}, callbacks=[RunOut(2, fail)])

    with pytest.raises(DeviceMemoryError, match="an update by RMSprop") as caught:
        trainer.fit()

    assert "training.micro_batch_size" in caught.value.cure


@pytest.mark.parametrize(("number", "fits"), [(1, 2), (2, 2), (3, 1)])
def test_an_evaluation_goes_on_with_half_the_images_and_the_same_scores(
    build: Build, recorder: Any, number: int, fits: int
) -> None:
    def fail(trainer: Trainer, number: int) -> None:
        fails = fail_at(number, lambda: None)
        trainer.model.fc.register_forward_pre_hook(
            lambda module, inputs: None if module.training else fails()
        )

    heard = RunOut(0, fail, number)
    expected = fitted(build, {"training": {"epochs": 2}})

    trainer = fitted(build, {"training": {"epochs": 2}}, heard, recorder)

    assert trainer.memory.evaluation.images == fits
    assert heard.said[0].endswith(f"{fits} at a time from here on in evaluations")
    assert recorder.epochs[-1] == pytest.approx(expected.last_metrics)
    torch.testing.assert_close(state(trainer), state(expected), rtol=0, atol=0)
