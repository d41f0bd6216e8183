"""The trainer: ``fit`` and ``train_step`` are the algorithm; the rest hangs on events."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_

from zoo.checkpoint import Checkpoint, save_best, save_checkpoint
from zoo.config import RunConfig
from zoo.devices import autocast
from zoo.distributed import (
    Agreement,
    barrier,
    data_parallel,
    is_main,
    share_buffers,
    sum_over_ranks,
    world_size,
)
from zoo.errors import StoppedError, UnknownNameError, ZooError
from zoo.structures import Batch, Step, loss_weights
from zoo.tasks import Task
from zoo.training._backward import backward
from zoo.training._ema import Ema
from zoo.training._events import Callback, FitResult, Progress
from zoo.training._guard import NonFiniteGuard
from zoo.training._inputs import (
    Destination,
    TaskModule,
    TrainingData,
    Validate,
    monitored,
)
from zoo.training._interrupt import Interrupt
from zoo.training._memory import StepMemory
from zoo.training._optimizers import build_optimizer
from zoo.training._phases import Around, mark_phases
from zoo.training._running import RunningMetrics
from zoo.training._schedules import Schedule
from zoo.training._snapshot import capture, restore
from zoo.training._state import RunState

_NOBODY, _TIME_IS_UP, _SIGNAL = 0, 1, 2
"""What a process says to the others after a step; the greatest holds for all."""
_AGREED = {_NOBODY: None, _TIME_IS_UP: "time_limit", _SIGNAL: "stopped"}


class Trainer:
    """Fits any model to any task.

    Args:
        model: on its device, in its memory format, frozen where it shall be.
        data: batches and the transform of the device.
        precision: "fp32", "bf16" or "fp16".
        validate: scores the weights after an epoch.
        destination: where the state is kept; None keeps nothing.
        callbacks: heard in this order, on rank 0.
    """

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        model: nn.Module,
        task: Task,
        *,
        config: RunConfig,
        data: TrainingData,
        device: torch.device,
        precision: str = "fp32",
        validate: Validate | None = None,
        destination: Destination | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.task, self.config, self.device = model, task, config, device
        self.precision, self.destination, self.callbacks = precision, destination, callbacks
        self._data, self._validate, self._settings = data, validate, config.training
        self.steps_per_epoch = len(data.plan(0))
        self.total_steps = min(
            self._settings.epochs * self.steps_per_epoch, self._settings.max_steps or sys.maxsize
        )
        self.optimizer = build_optimizer(model, config)
        self.schedule = Schedule(
            config, steps_per_epoch=self.steps_per_epoch, total_steps=self.total_steps
        )
        self._optimizer_of_torch = cast("torch.optim.Optimizer", self.optimizer)
        self._rate = self.schedule.rate(0)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.ema = Ema(model, config) if self._settings.ema else None
        self.running = RunningMetrics(task.metrics("train"), device)
        self.guard = NonFiniteGuard(model, self.optimizer, self.scaler, device)
        self.memory = StepMemory(
            model,
            self.optimizer,
            self.guard,
            self.scaler,
            device=device,
            micro_batch_size=self._settings.micro_batch_size,
            message=partial(_tell, weakref.ref(self)),
        )
        self.state = RunState()
        self.monitor, self.monitor_mode = monitored(task, config)
        self._learning = [p for p in model.parameters() if p.requires_grad]
        self._module = data_parallel(TaskModule(model, task), device)
        self._interrupt, self._agreement = Interrupt(), Agreement()
        self._started_s = time.monotonic()
        self.last_metrics: Mapping[str, float] = {}

    def fit(self) -> FitResult:
        """Train to the first of the stated ends.

        Raises:
            StoppedError: a signal came; the state is saved.
            NonFiniteError: a gradient became NaN or infinite; the last checkpoint is intact.
            StorageError: the disk failed; the last checkpoint is intact.
        """
        self._started_s = time.monotonic()
        self._notify("on_fit_start")
        with self._interrupt:
            while self.state.end is None:
                end = None
                for batch in self._rest_of_epoch():
                    self.train_step(batch)
                    end = self._after_step()
                    if end is not None:
                        break
                if end != "stopped":
                    end = self._end_epoch(end)
                self.save()
                if end == "stopped":
                    raise StoppedError("training was stopped by a signal; its state is saved")
        return self._finish()

    def train_step(self, batch: Batch) -> None:
        """One optimizer step: gradients, update, and what follows the weights."""
        self._set_learning_rate()
        batch = self._prepare(batch)
        self.guard.before_forward()
        passes = self.memory.take(
            partial(self._compute_gradients, batch, self._counts_over_ranks(batch)),
            partial(self._update_weights, batch),
            images=len(batch),
        )
        for step, micro_batch in passes:
            self.running.update(step, micro_batch)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update(self.state.step + 1)

    def _compute_gradients(
        self, batch: Batch, counts: Mapping[str, Tensor | float]
    ) -> list[tuple[Step, Batch]]:
        """Forward and backward, micro-batch by micro-batch."""
        passes = []
        for micro_batch, synchronise in self._micro_batches(batch):
            with synchronise:
                with autocast(self.device, self.precision):
                    step = self._module(micro_batch)
                weights = loss_weights(step.losses, counts, scale=world_size())
                totals = [loss.total for loss in step.losses.values()]
                backward(totals, self.scaler.scale(weights))
            passes.append((step.detached(), micro_batch))
        return passes

    def _update_weights(self, batch: Batch) -> None:
        """Check and clip the gradients, and let the optimizer use them."""
        self.scaler.unscale_(self._optimizer_of_torch)
        gradients = [p.grad for p in self._learning if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # noqa: SLF001
        self.guard.before_update(norm, self.state.step + 1, batch.keys)
        if self._settings.clip_norm:
            clip_grads_with_norm_(self._learning, self._settings.clip_norm, norm)
        self.scaler.step(self._optimizer_of_torch)

    @property
    def scored_model(self) -> nn.Module:
        """The weights that are evaluated and kept as the best: the average, if there is one."""
        return self.ema.model if self.ema else self.model

    @property
    def progress(self) -> Progress:
        """Where the run is."""
        at = self.state
        return Progress(
            step=at.step,
            epoch=at.epoch + 1,
            epoch_step=at.epoch_step,
            steps_per_epoch=self.steps_per_epoch,
            total_steps=self.total_steps,
            learning_rate=self._rate,
            images=round(self._data.images * (at.epoch + at.epoch_step / self.steps_per_epoch)),
            elapsed_s=self.elapsed_s(),
        )

    def running_metrics(self) -> dict[str, float]:
        """The training metrics of the epoch so far; waits for the device."""
        return {f"train/{name}": value for name, value in self.running.compute().items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take the state of a checkpoint; the run goes on as if it had never stopped.

        A run that has ended goes on where its limit has been raised.
        """
        restore(self, checkpoint)
        self._rate = self.schedule.rate(max(self.state.step - 1, 0))
        if self.state.end != "patience":
            self.state = replace(self.state, end=self._limit_reached())

    def mark_phases(self, around: Around) -> Callable[[], None]:
        """Enter ``around(name)`` with each phase of the work, until what this gives is called."""
        return mark_phases(self, around)

    def describe_weights(self) -> Mapping[str, Any]:
        """What using the weights of now needs, with the metrics of the last evaluation."""
        if self.destination is None:
            return {}
        return self.destination.record(self.state, self.last_metrics)

    def _rest_of_epoch(self) -> Iterator[Batch]:
        self._module.train()
        plan = self._data.plan(self.state.epoch)
        return self._data.loader.batches(plan[self.state.epoch_step :])

    def _set_learning_rate(self) -> None:
        self._rate = self.schedule.rate(self.state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate * group["rate_factor"]

    def _prepare(self, batch: Batch) -> Batch:
        batch = self._data.transform(batch.to(self.device))
        last = self.config.machine.channels_last
        memory_format = torch.channels_last if last else torch.contiguous_format
        return batch.with_images(batch.images.contiguous(memory_format=memory_format))

    def _counts_over_ranks(self, batch: Batch) -> Mapping[str, Tensor | float]:
        counts = self.task.loss_counts(batch)
        if world_size() == 1:
            return counts
        own = [
            count.to(self.device, torch.float64)
            if isinstance(count, Tensor)
            # Filled there: a copy of the host's number would wait for the step before.
            else torch.full((), count, dtype=torch.float64, device=self.device)
            for count in counts.values()
        ]
        sums = sum_over_ranks(torch.stack(own))
        return dict(zip(counts, sums, strict=True))

    def _micro_batches(self, batch: Batch) -> Iterator[tuple[Batch, AbstractContextManager[None]]]:
        for start, stop in self.memory.training.bounds(len(batch)):
            last = stop == len(batch)
            yield batch.rows(start, stop), nullcontext() if last else self._without_sync()

    def _without_sync(self) -> AbstractContextManager[None]:
        """Gradients stay on this process: more micro-batches follow."""
        if isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return nullcontext()

    def _after_step(self) -> str | None:
        self.state = self.state.after_step()
        at, settings = self.state, self._settings
        self._notify("on_step_end", self.progress)
        if at.step % settings.log_every == 0:
            self._notify("on_log", self.progress, self.running_metrics())
        if settings.save_every and at.step % settings.save_every == 0:
            self.save()
        return self._reason_to_end()

    def _reason_to_end(self) -> str | None:
        limit = self._limit_reached()
        word = _SIGNAL if self._interrupt.requested else _NOBODY
        if limit == "time_limit":
            word, limit = max(word, _TIME_IS_UP), None
        agreed = self._agreement.exchange(word)
        return _AGREED[agreed] or limit

    def _limit_reached(self) -> str | None:
        if self.state.step >= self.total_steps:
            by_epochs = self.total_steps == self._settings.epochs * self.steps_per_epoch
            return "finished" if by_epochs else "max_steps"
        limit_s = self._settings.time_limit_s
        return "time_limit" if limit_s is not None and self.elapsed_s() >= limit_s else None

    def _end_epoch(self, end: str | None) -> str | None:
        """Evaluate, keep the best, tell; gives the reason to end, if there is one."""
        metrics = self.running_metrics()
        if self._is_due_for_evaluation(end):
            try:
                metrics |= self._evaluate()
            except _LeaveEvaluation:
                return "stopped"
            end = self._hear_evaluation(metrics) or end
        self._notify("on_epoch_end", self.progress, metrics)
        self.last_metrics = metrics
        if self.state.epoch_step == self.steps_per_epoch:
            self.running.reset()
            self.state = self.state.after_epoch()
        self.state = replace(self.state, end=end)
        return end

    def _is_due_for_evaluation(self, end: str | None) -> bool:
        due = (self.state.epoch + 1) % self._settings.eval_every == 0
        return self._validate is not None and (due or end is not None)

    def _evaluate(self) -> dict[str, float]:
        if self._validate is None:
            return {}
        share_buffers(self.scored_model)
        values = self._validate(
            self.scored_model, self._on_evaluation_progress, self.memory.evaluation
        )
        return {f"val/{name}": value for name, value in values.items()}

    def _hear_evaluation(self, metrics: Mapping[str, float]) -> str | None:
        if self.monitor not in metrics:
            raise UnknownNameError(
                "metric", self.monitor, metrics, f"Measured: {', '.join(metrics)}."
            )
        improved = self.state.improves(metrics[self.monitor], rising=self.monitor_mode == "max")
        self.state = self.state.after_evaluation(metrics[self.monitor], improved=improved)
        self.schedule.after_evaluation(improved=improved)
        if improved and self.destination and is_main():
            self.guard.check()
            self.last_metrics = metrics
            weights = self.scored_model.state_dict()
            save_best(self.destination.folder.best, weights, self.describe_weights())
        patience = self._settings.patience
        return "patience" if patience and self.state.waited >= patience else None

    def _on_evaluation_progress(self, done: int, total: int) -> None:
        if self._interrupt.requested and world_size() == 1:
            raise _LeaveEvaluation
        self._notify("on_evaluation_progress", done, total)

    def save(self) -> None:
        """Commit a checkpoint of the whole state; every process must call it."""
        self.guard.check()
        if self.destination is None:
            return
        tensors, values = capture(self)
        if is_main():
            path = save_checkpoint(
                self.destination.folder.checkpoints,
                self.state.step,
                tensors,
                values,
                keep_last=self._settings.keep_last,
            )
            self._notify("on_checkpoint_saved", path)
        barrier()

    def _finish(self) -> FitResult:
        result = FitResult(
            reason=self.state.end or "finished",
            steps=self.state.step,
            epochs=self.state.epoch,
            monitor=self.monitor,
            best=self.state.best,
            best_epoch=self.state.best_epoch,
            metrics=self.last_metrics,
            elapsed_s=self.elapsed_s(),
            micro_batch_size=self.memory.training.images,
        )
        self._notify("on_fit_end", result)
        return result

    def elapsed_s(self) -> float:
        """Seconds of training so far, earlier parts of a resumed run included."""
        return self.state.elapsed_s + time.monotonic() - self._started_s

    def _notify(self, event: str, *arguments: object) -> None:
        if not is_main():
            return
        for callback in self.callbacks:
            try:
                getattr(callback, event)(self, *arguments)
            except (ZooError, OSError):
                raise
            except Exception as error:
                name = type(callback).__name__
                raise ZooError(f"callback {name} failed in {event}: {error!r}") from error


def _tell(trainer: weakref.ref[Trainer], message: str) -> None:
    """Weakly, so that a trainer which nobody needs any more is gone at once, and its memory too."""
    if (alive := trainer()) is not None:
        alive._notify("on_message", message)  # noqa: SLF001


class _LeaveEvaluation(Exception):  # noqa: N818
    """A signal came during an evaluation, which the resumed run will do again."""
