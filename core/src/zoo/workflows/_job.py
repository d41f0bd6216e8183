"""One training run, from the plan to the result: the objects that it needs, built in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.checkpoint import latest_checkpoint, step_folders
from zoo.config import Layer, dump_config
from zoo.cores import core_times
from zoo.data.datasets import Source
from zoo.data.sources import open_source
from zoo.devices import choose_device, describe_device
from zoo.distributed import is_main, is_main_process, on_main, process_group, rank
from zoo.errors import ConfigError, StoppedError, UnknownNameError, ZooError
from zoo.inference import ModelRecord
from zoo.proposals import Bar
from zoo.registry import Registry
from zoo.reporting import ConsoleReporter, JsonLines, Profile, Profiler, RunSummary
from zoo.runs import RunFolder, describe_environment
from zoo.structures import Batch
from zoo.tasks import Task
from zoo.training import (
    Callback,
    Destination,
    FitResult,
    RunState,
    Trainer,
    monitored,
    seed_everything,
)
from zoo.wording import counted
from zoo.workflows._crowded import crowded_line
from zoo.workflows._duration import long_run_line, time_image
from zoo.workflows._feed import Feed
from zoo.workflows._model import build_planned_model
from zoo.workflows._plan import THIS_MACHINE, RunPlan, overlay
from zoo.workflows._proposals import (
    PROPOSALS_RECORD,
    ProposalSource,
    check_same_proposals,
    hashes_of,
    propose_for,
)
from zoo.workflows._rehearsal import rehearse
from zoo.workflows._resume import DATA_RECORD, check_same_data

Message = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        run: its folder.
        fit: how training ended, and the best value of the monitored metric.
        profile: where the time of some steps went, where that was asked for.
    """

    run: Path
    fit: FitResult
    profile: Profile | None = None


class Job:
    """One run: the objects that a plan asks for, built in order."""

    def __init__(
        self,
        plan: RunPlan,
        registry: Registry,
        *,
        callbacks: Sequence[Callback],
        message: Message | None,
        profile_steps: int | None = None,
        bar: Bar | None = None,
    ) -> None:
        self.plan, self.config, self.registry = plan, plan.config, registry
        self._callbacks, self._profile_steps = callbacks, profile_steps
        self._profiler: Profiler | None = None
        self._message = message or _to_stderr
        self._bar = bar
        self.proposals: ProposalSource | None = None
        self._stack = ExitStack()
        self._cores_before = core_times()

    def start(self, output: Path | None) -> TrainResult:
        """A new run."""
        with self._stack:
            if output is not None:
                RunFolder.check_free(output)
            for line in self.plan.resolved.dropped:
                self._say(line)
            self._prepare()
            self._say_if_crowded()
            folder = on_main(lambda: self._create_folder(output))
            if is_main():
                self._stack.enter_context(folder.lock())
                self._describe(folder)
            return self._fit(folder, resumed=False)

    def resume(self, folder: RunFolder) -> TrainResult:
        """The same run again."""
        with self._stack:
            if is_main_process():
                self._stack.enter_context(folder.lock())
            self._prepare(restored=bool(step_folders(folder.checkpoints)))
            check_same_data(folder, self.source)
            check_same_proposals(folder, hashes_of(self.fed))
            if is_main():
                folder.write_text(folder.config.name, dump_config(self.plan.resolved))
            return self._fit(folder, resumed=True)

    def _prepare(self, *, restored: bool = False) -> None:
        """Everything that can be wrong with what the user gave, before anything is written."""
        machine = self.config.machine
        torch.set_num_threads(machine.threads or torch.get_num_threads())
        if machine.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            before = torch.are_deterministic_algorithms_enabled()
            self._stack.callback(torch.use_deterministic_algorithms, before)
            torch.use_deterministic_algorithms(mode=True)
        device = choose_device(machine.device)
        self.source = open_source(
            self.plan.source,
            registry=self.registry,
            data=self.config.data,
            channels=self.plan.in_channels,
            message=self._say,
        )
        self._settle_data()
        self.task = self._build_task()
        self.fed = self._with_proposals()
        self.device = self._stack.enter_context(process_group(device))
        feed = Feed(self.plan, self.fed, self.task, device=self.device)
        self.feed = self._stack.enter_context(closing(feed))
        self.model = self._build_model(restored=restored)
        batch = rehearse(self.plan, self.fed, self.task, self.model, self.device)
        self._say_if_long(batch)
        self._named_callbacks = self._build_callbacks()
        self.trainer = self._build_trainer()

    def _settle_data(self) -> None:
        """Write into the config where the data are, and the size of batches that they allow.

        Raises:
            ConfigError: batches of more images than there are were asked for.
        """
        settled: dict[str, Any] = {}
        if self.config.data.source is not None:
            settled["data"] = {"source": self.source.place}
        images = len(self.source.splits["train"])
        if self.config.training.batch_size > images:
            self._check_batch_size(images)
            settled["training"] = {"batch_size": images}
        resolved = overlay(self.plan.resolved, Layer("", settled))
        self.plan = replace(self.plan, resolved=resolved)
        self.config = self.plan.config

    def _check_batch_size(self, images: int) -> None:
        """Refuse a batch size that the user said; one that came with a recipe is too large."""
        size = self.config.training.batch_size
        origin = self.plan.resolved.origins.get("training.batch_size", "default")
        if not origin.startswith(("recipe ", "data set ", "default")):
            raise ConfigError(
                f"training.batch_size = {size} ({origin}): training has {counted(images, 'image')}",
                f"Use --batch-size {images} or less.",
            )
        self._say(
            f"batches have {counted(images, 'image')}, not {size} ({origin}): there are no more"
        )

    def _with_proposals(self) -> Source:
        """The data as the model sees them.

        Before the processes of a run meet, as none waits for another so long then: the first makes
        the proposals, and says so, and the others find them.
        """
        if self.config.data.proposals is None:
            return self.source
        self.proposals = ProposalSource.of_config(
            self.config.data,
            registry=self.registry,
            device=self.config.machine.device,
            message=self._message,
            bar=self._bar,
        )
        return propose_for(self.source, self.proposals)

    def _build_task(self) -> Task:
        factory = self.registry.load(self.plan.task)
        task: Task = factory(classes=self.source.classes, **self.plan.task_options)
        task.check_targets(self.source.splits)
        for line in task.check_data(self.source.splits):
            self._say(line)
        _check_monitor(task, self.config.training.monitor)
        return task

    def _build_model(self, *, restored: bool) -> nn.Module:
        if self.config.machine.compile:
            pays = "" if self.device.type == "cuda" else ", and trains no faster on a CPU"
            self._say(f"compiling the model in its first step takes half a minute or more{pays}")
        return build_planned_model(
            self.plan,
            num_classes=self.task.num_classes,
            device=self.device,
            registry=self.registry,
            message=self._say,
            restored=restored,
        )

    def _say_if_long(self, batch: Batch) -> None:
        """How long the run will take, to whoever named no data and may only want to see it work."""
        if self.config.data.source is not None or self.device.type != "cpu":
            return
        line = long_run_line(
            self.plan,
            image_s=time_image(self.plan, self.task, self.model, batch),
            images=len(self.source.splits["train"]),
            registry=self.registry,
        )
        if line is not None:
            self._say(line)

    def _say_if_crowded(self) -> None:
        """Other programs slow threads down, to whoever did not choose their number.

        Processes of one run would take each other for other programs.
        """
        chosen = self.plan.resolved.origins.get("machine.threads") != THIS_MACHINE
        if chosen or self.config.machine.gpus > 1:
            return
        line = crowded_line(self._cores_before, self.device, cure="--set machine.threads={}")
        if line is not None:
            self._say(line)

    def _build_trainer(self) -> Trainer:
        """The trainer, as yet without a folder to write to."""
        return Trainer(
            self.model,
            self.task,
            config=self.config,
            data=self.feed.training(),
            device=self.device,
            precision=self.config.machine.precision,
            validate=self.feed.validation(self.device),
        )

    def _create_folder(self, output: Path | None) -> RunFolder:
        return RunFolder.create(output, model=self.plan.model.card.name, dataset=self.source.name)

    def _describe(self, folder: RunFolder) -> None:
        """Write what the run is; ``config.toml``, which makes it a run, last."""
        plugins = {p.distribution: p.version for p in (self.plan.model, self.plan.task)}
        try:
            environment = describe_environment(
                plugins=plugins, device=describe_device(self.device), cuda=torch.version.cuda
            )
            folder.write_json("environment.json", environment)
            folder.write_json(DATA_RECORD, self.source.record())
            if self.proposals is not None:
                folder.write_json(PROPOSALS_RECORD, hashes_of(self.fed))
            folder.write_text(folder.config.name, dump_config(self.plan.resolved))
        except BaseException:
            folder.discard()  # so that the same command can be given again
            raise

    def _fit(self, folder: RunFolder, *, resumed: bool) -> TrainResult:
        self.trainer.destination = Destination(folder, self._record)
        self.trainer.callbacks = self._all_callbacks(folder)
        seed_everything(self.config.training.seed, rank())
        if resumed:
            self._restore(self.trainer, folder)
        try:
            result = self.trainer.fit()
        except StoppedError as error:
            raise StoppedError(error.cause, f"Go on with: {folder.resume_command}") from None
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise _cannot_compile(error) from error
            if "does not have a deterministic implementation" in str(error):
                raise _not_deterministic(error) from error
            raise
        if is_main():
            folder.write_json("result.json", asdict(result))
        profile = self._profiler.profile if self._profiler else None
        return TrainResult(folder.path, result, profile)

    def _restore(self, trainer: Trainer, folder: RunFolder) -> None:
        newest = on_main(lambda: latest_checkpoint(folder.checkpoints, warn=self._say))
        if newest is None:
            self._say(f"{folder.path} has no checkpoint yet: it starts from the beginning")
            return
        trainer.restore(newest)

    def _record(self, state: RunState, metrics: Mapping[str, float]) -> Mapping[str, Any]:
        record = ModelRecord(
            model=self.plan.model.full_name,
            distribution=self.plan.model.distribution,
            version=self.plan.model.version,
            num_classes=self.task.num_classes,
            in_channels=self.plan.in_channels,
            options={k: v for k, v in self.plan.model_options.items() if k != "in_channels"},
            classes=tuple(self.source.classes),
            input=self.plan.input,
            task=self.plan.task.full_name,
            task_options=self.task.options(),
            transforms=self.plan.transforms,
            proposals=self.proposals.record() if self.proposals else {},
            metrics=metrics,
            ema=self.config.training.ema is not None,
            step=state.step,
            epoch=state.epoch + bool(state.epoch_step),
        )
        return record.to_json()

    def _all_callbacks(self, folder: RunFolder) -> list[Callback]:
        monitor, mode = monitored(self.task, self.config)
        summary = RunSummary(
            model=self.plan.model.card.name,
            num_params=sum(p.numel() for p in self.model.parameters()),
            data=self.source.name,
            split_sizes={name: len(split) for name, split in self.source.splits.items()},
            num_classes=len(self.task.classes),
            device=describe_device(self.device),
            precision=self.config.machine.precision,
            batch_size=self.config.training.batch_size,
            epochs=self.config.training.epochs,
            run=folder,
            recipe=self.config.recipe,
        )
        if self._profile_steps:  # before the console, so that it speaks when that is done
            profiler = Profiler(self._profile_steps, folder.path / "profile", self._say)
            self._profiler = self._stack.enter_context(profiler)
        console = ConsoleReporter(summary, monitor=monitor, mode=mode)
        self._stack.enter_context(console)
        return [
            console,
            JsonLines(folder.metrics),
            *self._named_callbacks,
            *self._callbacks,
            *([self._profiler] if self._profiler else []),
        ]

    def _build_callbacks(self) -> list[Callback]:
        """Those that the config switches on."""
        return [
            self.registry.load(self.registry.get("callback", name))(**options)
            for name, options in self.plan.callbacks.items()
        ]

    def _say(self, message: str) -> None:
        if is_main_process():
            self._message(message)


def _cannot_compile(error: Exception) -> ZooError:
    """torch's compiler failed, as it does without a C++ compiler on the machine."""
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ZooError(
        f"the model cannot be compiled: {said.strip()}",
        "Train without --compile; on a CPU torch's compiler needs a C++ compiler (g++).",
    )


def _not_deterministic(error: Exception) -> ZooError:
    """A kernel that the model needs gives other bits each time, which it says when it is needed."""
    kernel = str(error).split(maxsplit=1)[0]
    return ZooError(
        f"--deterministic: torch has no deterministic kernel for {kernel} on this device",
        "Train without --deterministic, on the CPU, or another model.",
    )


def _check_monitor(task: Task, monitor: str | None) -> None:
    if monitor is None:
        return
    measured = {f"val/{key}" for metric in task.metrics("val").values() for key in metric.compute()}
    measured |= {"val/loss", "train/loss"}
    if monitor not in measured:
        raise UnknownNameError(
            "metric", monitor, measured, f"training.monitor can be {', '.join(sorted(measured))}."
        )


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201 - the default for scripts
