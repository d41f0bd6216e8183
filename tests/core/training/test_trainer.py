"""Fit and its ends, what one step does, and which weights are kept."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.checkpoint import load_best
from zoo.errors import NonFiniteError, UnknownNameError, ZooError
from zoo.reporting import Profiler
from zoo.training import Callback, Trainer
from zoo.training._snapshot import optimizer_tensors

Build = Callable[..., Trainer]


def linear() -> nn.Module:
    """No batch norm and no dropout: a gradient that does not depend on the batch's cut."""
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def after_each_update(trainer: Trainer, look: Callable[[], Any]) -> list[Any]:
    """What ``look`` sees after each step of the optimizer."""
    seen: list[Any] = []
    step = trainer.optimizer.step
    trainer.optimizer.step = lambda: (step(), seen.append(look()))
    return seen


class Poison(Callback):
    """Makes a weight NaN before the step after ``step``, as a bad sample would the gradient."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.before: dict[str, Tensor] = {}

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step == self.step:
            forward = trainer.model.forward
            trainer.model.forward = lambda images: forward(images) * math.nan
            self.before = values(trainer.model)
            self.before |= values(trainer.ema.model) if trainer.ema else {}


def test_training_lowers_the_loss_and_ends_after_its_epochs(build: Build, recorder: Any) -> None:
    trainer = build({"training": {"epochs": 12}}, callbacks=[recorder])

    result = trainer.fit()

    assert (result.reason, result.epochs, result.steps) == ("finished", 12, 48)
    assert recorder.epochs[-1]["train/loss"] < 0.7 * recorder.epochs[0]["train/loss"]
    assert result.best is not None
    assert result.best > 0.6


def test_a_trainer_that_nobody_needs_is_gone_with_its_memory(build: Build, tmp_path: Path) -> None:
    profiler = Profiler(1, tmp_path, lambda _: None)
    trainer = build({"training": {"ema": {"decay": 0.9}}}, callbacks=[profiler])
    trainer.fit()
    references = [weakref.ref(part) for part in (trainer, trainer.model, trainer.optimizer)]
    gc.collect()
    gc.disable()

    try:
        del trainer
        left = [reference() for reference in references]
    finally:
        gc.enable()

    assert left == [None, None, None]


def test_one_batch_is_exactly_one_update(build: Build) -> None:
    trainer = build()
    updates = after_each_update(trainer, lambda: 1)

    trainer.fit()

    assert len(updates) == trainer.state.step == 16


@pytest.mark.parametrize("micro_batch_size", [1, 3, 4, 7])
def test_micro_batches_add_up_to_the_step_of_the_whole_batch(
    build: Build, micro_batch_size: int
) -> None:
    whole = build({"training": {"max_steps": 3}}, model=linear)
    parts = build(
        {"training": {"max_steps": 3, "micro_batch_size": micro_batch_size}}, model=linear
    )

    whole.fit()
    parts.fit()

    torch.testing.assert_close(values(parts.model), values(whole.model), rtol=1e-5, atol=1e-7)


def test_clipping_bounds_the_length_of_the_update(build: Build) -> None:
    trainer = build(
        {
            "training": {"max_steps": 1, "clip_norm": 1e-3},
            "optimizer": {"learning_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0},
            "schedule": {"name": "constant"},
        }
    )
    before = values(trainer.model)

    trainer.fit()

    after = values(trainer.model)
    moved = [after[n] - before[n] for n, _ in trainer.model.named_parameters()]
    length = torch.cat([delta.flatten() for delta in moved]).norm()
    assert float(length) == pytest.approx(1e-3, rel=1e-4)


def test_clipping_under_fp16_sees_gradients_without_the_scale(build: Build) -> None:
    settings = {
        "training": {"max_steps": 1, "clip_norm": 1e6},
        "optimizer": {"momentum": 0.0},
        "schedule": {"name": "constant"},
    }
    clipped = build(settings, precision="fp16", model=linear)
    free = build({**settings, "training": {"max_steps": 1}}, precision="fp16", model=linear)

    clipped.fit()
    free.fit()

    torch.testing.assert_close(values(clipped.model), values(free.model), rtol=0, atol=0)


def test_the_average_follows_the_weights_by_its_formula(build: Build) -> None:
    trainer = build({"training": {"max_steps": 2, "ema": {"decay": 0.9}}}, model=linear)
    average = values(trainer.model)["1.weight"]
    history = after_each_update(trainer, lambda: trainer.model[1].weight.detach().clone())

    trainer.fit()

    for weight in history:  # the formula, step by step
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(values(trainer.scored_model)["1.weight"], average)


def test_the_average_is_what_is_scored_and_kept(build: Build, folder: Path) -> None:
    trainer = build({"training": {"epochs": 1, "ema": {"decay": 0.5}}}, folder=folder)

    trainer.fit()

    kept = load_best(folder / "best").tensors
    assert trainer.ema is not None
    torch.testing.assert_close(kept, values(trainer.ema.model), rtol=0, atol=0)
    assert not torch.equal(kept["fc.weight"], trainer.model.fc.weight)


def test_the_rate_of_each_step_is_the_schedules(build: Build, recorder: Any) -> None:
    trainer = build(
        {
            "optimizer": {"learning_rate": 0.2, "scale_to_batch": 16},
            "schedule": {"name": "step", "milestones": [2], "warmup_epochs": 1.0},
        },
        callbacks=[recorder],
    )

    trainer.fit()

    warm_up = [0.0, 0.025, 0.05, 0.075]
    assert recorder.rates == pytest.approx([*warm_up, *[0.1] * 4, *[0.01] * 8])


@pytest.mark.parametrize(
    ("settings", "reason", "steps"),
    [
        ({"max_steps": 6}, "max_steps", 6),
        ({"time_limit_s": 1e-9}, "time_limit", 1),
        ({"patience": 2, "epochs": 50, "monitor": "val/top1"}, "patience", 12),
    ],
)
def test_each_limit_has_its_own_end_and_leaves_scored_weights(
    build: Build, folder: Path, settings: dict[str, Any], reason: str, steps: int
) -> None:
    frozen = {"optimizer": {"learning_rate": 1e-12}}  # nothing ever improves
    trainer = build({"training": settings, **frozen}, folder=folder)

    result = trainer.fit()

    assert (result.reason, result.steps) == (reason, steps)
    assert result.best is not None
    assert load_best(folder / "best").tensors


def test_a_worse_epoch_never_becomes_best(build: Build, folder: Path, recorder: Any) -> None:
    trainer = build({"training": {"epochs": 3}}, folder=folder, callbacks=[recorder])
    scores = iter([{"top1": 0.5, "loss": 1.0}, {"top1": 0.9, "loss": 1.0}, {"top1": 0.7}])
    trainer._validate = lambda *_: next(scores)

    result = trainer.fit()

    assert (result.best, result.best_epoch) == (0.9, 2)
    assert load_best(folder / "best").values["epoch"] == 2


@pytest.mark.parametrize("name", ["loss", "ece"])
def test_a_loss_or_an_error_that_is_monitored_falls(name: str, build: Build, folder: Path) -> None:
    trainer = build({"training": {"epochs": 3, "monitor": f"val/{name}"}}, folder=folder)
    scores = iter([{name: 1.0}, {name: 0.4}, {name: 0.6}])
    trainer._validate = lambda *_: next(scores)

    result = trainer.fit()

    assert (result.best, result.best_epoch) == (0.4, 2)


def test_nan_is_never_best(build: Build) -> None:
    trainer = build({"training": {"epochs": 2}})
    scores = iter([{"top1": math.nan}, {"top1": 0.1}])
    trainer._validate = lambda *_: next(scores)

    result = trainer.fit()

    assert (result.best, result.best_epoch) == (0.1, 2)


def test_a_metric_that_is_not_measured_is_named(build: Build) -> None:
    trainer = build({"training": {"monitor": "val/topl"}})

    with pytest.raises(UnknownNameError, match="val/topl") as caught:
        trainer.fit()

    assert "val/top1" in str(caught.value)


@pytest.mark.parametrize("ema", [None, {"decay": 0.9}])
def test_a_nan_gradient_changes_nothing_and_names_step_and_samples(
    build: Build, folder: Path, ema: dict[str, float] | None
) -> None:
    poison = Poison(step=6)
    trainer = build({"training": {"ema": ema} if ema else {}}, folder=folder, callbacks=[poison])

    with pytest.raises(NonFiniteError, match=r"step 7 \(samples \d+"):
        trainer.fit()

    after = values(trainer.model) | (values(trainer.ema.model) if trainer.ema else {})
    torch.testing.assert_close(after, poison.before, rtol=0, atol=0)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-4"]


def test_batch_norm_statistics_of_a_bad_forward_pass_go_back(build: Build) -> None:
    trainer = build({"training": {"max_steps": 3}})
    trainer.fit()
    before = values(trainer.model)
    trainer.model.conv.bias.data.fill_(math.inf)

    with pytest.raises(NonFiniteError):
        trainer.train_step(next(iter(trainer._rest_of_epoch())))

    after = values(trainer.model)
    assert torch.equal(after["norm.running_mean"], before["norm.running_mean"])
    assert torch.equal(after["norm.num_batches_tracked"], before["norm.num_batches_tracked"])


def test_the_gate_of_a_gpu_holds_until_it_is_read(build: Build) -> None:
    """There the flag stays on the device for many steps, none of which may change anything."""
    trainer = build({"training": {"max_steps": 3}, "optimizer": {"name": "adamw"}})
    trainer.fit()
    trainer.guard._read_every = 50
    trainer.model.conv.bias.data.fill_(math.inf)
    before = values(trainer.model) | optimizer_tensors(trainer.optimizer, trainer.model)
    before = {name: tensor.clone() for name, tensor in before.items()}
    batch = next(iter(trainer._rest_of_epoch()))

    trainer.train_step(batch)
    trainer.train_step(batch)

    after = values(trainer.model) | optimizer_tensors(trainer.optimizer, trainer.model)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    with pytest.raises(NonFiniteError, match="at step 4 "):
        trainer.save()


def test_an_fp16_overflow_is_skipped_and_no_failure(build: Build) -> None:
    trainer = build({"training": {"max_steps": 4}}, precision="fp16")
    trainer.scaler._init_scale = 2.0**60  # overflows at first

    result = trainer.fit()

    assert result.steps == 4
    assert trainer.scaler.get_scale() < 2.0**60
    assert all(torch.isfinite(t).all() for t in values(trainer.model).values())


def test_an_exception_in_a_callback_names_the_callback(build: Build) -> None:
    class Faulty(Callback):
        def on_epoch_end(self, *_: Any) -> None:
            raise LookupError("no such thing")

    trainer = build(callbacks=[Faulty()])

    with pytest.raises(ZooError, match=r"callback Faulty failed in on_epoch_end.*no such thing"):
        trainer.fit()


def test_logged_metrics_are_sums_over_the_epoch_so_far(build: Build) -> None:
    heard: list[Mapping[str, float]] = []

    class Log(Callback):
        def on_log(self, trainer: Trainer, progress: Any, metrics: Mapping[str, float]) -> None:
            heard.append(metrics)

    trainer = build({"training": {"epochs": 1, "log_every": 1}}, callbacks=[Log()])

    trainer.fit()

    assert len(heard) == 4
    assert heard[-1]["train/top1"] * 28 == pytest.approx(round(heard[-1]["train/top1"] * 28))
