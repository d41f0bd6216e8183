"""``zoo train``: train a model, or go on with a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli._completion import complete_names
from zoo.cli._imports import lasting_imports
from zoo.cli._options import DEVICES, PRECISIONS, json_option
from zoo.cli._output import json_stream, print_answer, print_json, print_message
from zoo.cli._progress import progress_bar
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from zoo.config import Layer


@dataclass(frozen=True)
class Setting:
    """An option that sets one key of the config.

    Attributes:
        key: of the config.
        metavar: what stands for its value in the help; None for a flag.
        kind: of the value.
    """

    option: str
    key: str
    help: str
    metavar: str | None = None
    kind: type = str
    complete: str | None = None

    @property
    def name(self) -> str:
        """Of the parameter."""
        return self.option.removeprefix("--").replace("-", "_")

    def decorate(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Add the option to a command."""
        if self.metavar is None:
            return click.option(self.option, is_flag=True, default=None, help=self.help)(function)
        return click.option(
            self.option,
            type=self.kind,
            metavar=self.metavar,
            help=self.help,
            shell_complete=complete_names(self.complete) if self.complete else None,
        )(function)


SETTINGS = (
    Setting("--data", "data.source", "NAME or NAME:PATH of a data set, a path, or layout:path.",
            "SOURCE", complete="dataset"),
    Setting("--recipe", "recipe", "How to train; `zoo list recipes`.", "NAME", complete="recipe"),
    Setting("--epochs", "training.epochs", "Passes over the training images.", "N", int),
    Setting("--batch-size", "training.batch_size", "Images per optimizer step.", "N", int),
    Setting("--learning-rate", "optimizer.learning_rate", "Highest learning rate of the run.",
            "X", float),
    Setting("--image-size", "data.image_size", "Height and width that the model sees.", "PX", int),
    Setting("--weights", "model.weights", "Weights to start from: published, a file, a run.",
            "NAME|FILE"),
    Setting("--backbone-weights", "model.backbone_weights",
            "The same for the backbone alone, as it was published.", "NAME|FILE"),
    Setting("--device", "machine.device", f"{DEVICES}; auto takes a GPU.", "DEVICE"),
    Setting("--precision", "machine.precision", f"{PRECISIONS}.", "NAME"),
    Setting("--gpus", "machine.gpus", "GPUs to train on, a process for each.", "N", int),
    Setting("--workers", "data.workers", "Processes that read images.", "N", int),
    Setting("--seed", "training.seed", "Of fresh weights, order and augmentation.", "N", int),
    Setting("--max-steps", "training.max_steps", "End after N optimizer steps.", "N", int),
    Setting("--time-limit", "training.time_limit_s", "End after so much training.",
            "SECONDS", float),
    Setting("--patience", "training.patience", "End after N epochs without a new best.", "N", int),
    Setting("--monitor", "training.monitor", "What is best: val/top1, val/loss, ...", "METRIC"),
    Setting("--save-every", "training.save_every", "Steps between checkpoints.", "N", int),
    Setting("--on-bad-image", "data.on_bad_image", "What to do with an image that cannot be read.",
            "fail|skip"),
    Setting("--on-bad-box", "data.on_bad_box", "What to do with boxes that are wrong.",
            "fail|clip|skip"),
    Setting("--download", "data.download", "Fetch a registered data set that is not here yet."),
    Setting("--compile", "machine.compile", "Compile the model first, which takes minutes."),
    Setting("--deterministic", "machine.deterministic", "The same bits on every run; slower."),
)  # fmt: skip


def settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add every setting to a command."""
    for setting in reversed(SETTINGS):
        function = setting.decorate(function)
    return function


@click.command()
@click.argument("model", required=False, shell_complete=complete_names("model"))
@settings
@click.option(
    "--freeze",
    multiple=True,
    metavar="PART",
    help="A part that does not learn: backbone, or one of `zoo info MODEL --layers`; repeatable.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Values by section and key, as TOML.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of the config, such as optimizer.momentum=0.9; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run folder to make; default: runs/<model>-<data>-<time>.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run as if it had not stopped.",
)
@click.option(
    "--profile",
    type=click.IntRange(min=1),
    metavar="N",
    help="Say where the time of N steps went, and trace a few more.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the config with the origin of each value; train nothing."
)
@json_option
def train(
    model: str | None,
    *,
    freeze: Sequence[str],
    config: Path | None,
    assignments: Sequence[str],
    **values: Any,
) -> int:
    """Train MODEL, and leave everything about the run in one folder.

    \b
        zoo train resnet18 --data ./photos --output runs/photos
        zoo train --resume runs/photos

    Without --data the embedded data set of the model's task is used, without --recipe the model's
    own recipe.  Of two values for one key the later counts, in this order: recipe, --config,
    ZOO_SECTION__KEY in the environment, options, --set.
    """  # noqa: D301 (click's mark for lines to be left as they are)
    # The schema is loaded here, not for the help.
    from zoo.config import Layer, assignments_layer, environment_layer, file_layer

    given = {setting.key: values.pop(setting.name) for setting in SETTINGS}
    given["model.freeze"] = list(freeze) or None
    options = [_layer(given), assignments_layer(assignments, "command line")]
    if values["resume"] is not None:
        _check_resume(model=model, config=config, output=values["output"])
    elif model is None:
        raise ConfigError("no model is named", "Name one of `zoo list`, or give --resume RUN.")
    else:
        options = [
            *([file_layer(config)] if config else []),
            environment_layer(os.environ),
            Layer("command line", {"model": {"name": model}}),
            *options,
        ]
    return _run(options, **values)


def _run(
    layers: Sequence[Layer],
    *,
    output: Path | None,
    resume: Path | None,
    profile: int | None,
    dry_run: bool,
    json_: bool,
) -> int:
    # torch is loaded here, after the words have been understood.
    with lasting_imports():
        from zoo.distributed import is_launched, is_main_process, launch
        from zoo.workflows import check_borrowed_data, plan_training, run_training

    plan = plan_training(layers, resume=resume)
    if dry_run:
        check_borrowed_data(plan)
        for line in plan.resolved.dropped:
            print_message(line)
        print_json(plan.as_json()) if json_ else print_answer(plan.as_toml())
        return 0
    if plan.config.machine.gpus > 1 and not is_launched():
        command = ["-m", "zoo", *sys.argv[1:]]
        return launch(command, plan.config.machine.gpus, stdout=json_stream() if json_ else None)
    result = run_training(
        plan,
        output=output,
        resume=resume,
        profile_steps=profile,
        message=print_message,
        bar=progress_bar,
    )
    if json_ and is_main_process():
        found = {"profile": result.profile} if result.profile else {}
        print_json({"run": str(result.run), **asdict(result.fit), **found})
    return 0


def _layer(given: Mapping[str, Any]) -> Layer:
    """The settings that were given, by section."""
    from zoo.config import Layer

    values: dict[str, Any] = {}
    for path, value in given.items():
        if value is not None:
            section, _, key = path.rpartition(".")
            (values.setdefault(section, {}) if section else values)[key] = value
    return Layer("command line", values)


def _check_resume(*, model: str | None, config: Path | None, output: Path | None) -> None:
    for name, value in (("MODEL", model), ("--config", config), ("--output", output)):
        if value is not None:
            raise ConfigError(
                f"{name} ({value}) cannot be given with --resume",
                "A resumed run keeps what it was started with.",
            )
