"""The first and the last lines of a run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from zoo.reporting._format import format_count, format_duration, format_metric
from zoo.runs import RunFolder
from zoo.training import FitResult, Progress
from zoo.wording import counted

_REASONS = {
    "finished": "finished",
    "max_steps": "reached --max-steps",
    "time_limit": "reached --time-limit",
    "patience": "ended early: no better epoch within --patience,",
    "stopped": "stopped by a signal",
}
_RESUMABLE = {"stopped", "time_limit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run is, for its first lines.

    Attributes:
        model: its name.
        num_params: of the model as built.
        data: name of the source.
        split_sizes: images by split, "train" first.
        num_classes: that users name; 0 where the task has none.
        device: as chosen, with the name of the GPU.
        precision: "fp32", "bf16" or "fp16".
        batch_size: images per optimizer step.
        epochs: planned.
        run: where the output goes; None keeps nothing.
        recipe: its name, if there is one.
    """

    model: str
    num_params: int
    data: str
    split_sizes: dict[str, int]
    num_classes: int
    device: str
    precision: str
    batch_size: int
    epochs: int
    run: RunFolder | None
    recipe: str | None = None


def start_lines(summary: RunSummary, progress: Progress) -> list[str]:
    """What is trained, on what, and where the result goes; of a resumed run, from where."""
    splits = ", ".join(f"{count:,} {split}" for split, count in summary.split_sizes.items())
    recipe = f"recipe {summary.recipe}, " if summary.recipe else ""
    epochs = counted(summary.epochs, "epoch")
    steps = counted(progress.steps_per_epoch, "step")
    classes = f", {counted(summary.num_classes, 'class')}" if summary.num_classes else ""
    is_cut = progress.total_steps < summary.epochs * progress.steps_per_epoch
    end = f", at most {counted(progress.total_steps, 'step')}" if is_cut else ""
    rows = {
        "model": f"{summary.model}, {format_count(summary.num_params)} parameters",
        "data": f"{summary.data}: {splits} images{classes}",
        "device": f"{summary.device}, {summary.precision}",
        "training": f"{recipe}{epochs} of {steps}{end}, batch size {summary.batch_size}",
        "output": str(summary.run.path) if summary.run else "nothing is kept",
    }
    if progress.step:
        rows["resumed"] = f"after step {progress.step:,} of {progress.total_steps:,}"
    return [f"{name:<9} {text}" for name, text in rows.items()]


def end_lines(result: FitResult, run: RunFolder | None) -> list[str]:
    """How it ended, what was best, and the commands that come next."""
    reason = _REASONS.get(result.reason, result.reason)
    epochs, steps = counted(result.epochs, "epoch"), counted(result.steps, "step")
    lines = [f"{reason} after {epochs}, {steps}, {format_duration(result.elapsed_s)}"]
    if result.best is not None:
        best = format_metric(result.monitor, result.best)
        lines.append(f"best {result.monitor} {best} in epoch {result.best_epoch}")
    return lines + (_next_lines(result, run) if run else [])


def _next_lines(result: FitResult, run: RunFolder) -> list[str]:
    path = shlex.quote(str(run.path))
    commands = []
    if result.reason in _RESUMABLE:
        commands.append((run.resume_command, "go on"))
    if result.best is not None:
        commands += [
            (f"zoo eval {path}", "measure the best weights"),
            (f"zoo predict {path} IMAGE...", "use them"),
        ]
    width = max((len(command) for command, _ in commands), default=0)
    return [
        f"run folder {run.path}",
        *(f"  {command:<{width}}  {purpose}" for command, purpose in commands),
    ]
