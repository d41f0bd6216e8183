"""The description of a run: one frozen, typed tree.

``RunConfig`` is the schema of ``config.toml``, of ``--config``, of ``ZOO_SECTION__KEY`` and of
``--set section.key=value`` alike.  A section that names a thing (model, task, optimizer, schedule)
takes, beside its own keys, the options of that thing, whose schema is the signature of its factory.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of fixed keys; any other key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OpenSection(BaseModel):
    """A section whose other keys are the options of the thing that it names."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are not the section's own."""
        return dict(self.model_extra or {})


class ModelConfig(OpenSection):
    """Which model; other keys are options of its builder."""

    name: str
    weights: str | None = None
    """A published set's name, or a .safetensors or .pth file, to start from."""
    freeze: tuple[str, ...] = ()
    """Parts that do not learn: "backbone", or prefixes of parameter names."""


class TaskConfig(OpenSection):
    """Which task; other keys are its options (losses and their weights)."""

    name: str | None = None
    """Default: the task of the model's card."""


class DataConfig(Section):
    """Which images, how they are split and how they are read."""

    source: str | None = None
    """A registered name, a path, or layout:path; default: the task's embedded data set."""
    image_size: PositiveInt | None = None
    """Height and width in px that the model sees; default: the card's."""
    val_fraction: Fraction = 0.2
    """Of a source without splits of its own, drawn per class."""
    split_seed: Count = 0
    on_bad_image: Literal["fail", "skip"] = "fail"
    download: bool = False
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    """"balanced" draws every class equally often."""
    repeats: PositiveInt = 1
    """Copies of a sample in an epoch, each augmented anew (repeated augmentation)."""
    cache: Literal["auto", "memory", "none"] = "auto"
    """Whether decoded images stay in memory; "auto" keeps them where they fit."""
    workers: Count | None = None
    """Loader processes; default: what the machine and the data ask for."""


class TransformsConfig(OpenSection):
    """Augmentation; the keys are those of the task's ``transforms``."""


class OptimizerConfig(OpenSection):
    """Which optimizer; other keys are its options (momentum, betas)."""

    name: str = "sgd"
    learning_rate: Positive = 0.05
    scale_to_batch: PositiveInt | None = None
    """The batch size that learning_rate is stated for; the rate scales linearly with ours."""
    weight_decay: NotNegative = 5e-4
    decay_norms_and_biases: bool = False
    layer_rates: dict[str, Positive] = Field(default_factory=dict)
    """Factor of the learning rate for parameters whose names start so (fine-tuning)."""


class ScheduleConfig(OpenSection):
    """How the learning rate moves; other keys are the schedule's options."""

    name: str = "cosine"
    warmup_epochs: NotNegative = 0.0
    warmup_from: Fraction = 0.0
    """The fraction of the rate that warm-up starts from."""
    each: Literal["step", "epoch"] = "step"
    """When the rate moves: at every step, or (as torchvision and timm do) once an epoch."""


class EmaConfig(Section):
    """Exponential moving average of the weights, which is what is then scored and kept."""

    decay: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    every_steps: PositiveInt = 1
    warmup_steps: Count = 0
    """The average follows the weights freely for so many steps."""


class TrainingConfig(Section):
    """How long, how much at a time, and what counts as best."""

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 32
    """Images per optimizer step over all processes."""
    micro_batch_size: PositiveInt | None = None
    """Images per forward pass on one device; default: the whole share."""
    max_steps: PositiveInt | None = None
    time_limit_s: Positive | None = None
    patience: PositiveInt | None = None
    """Epochs without a better monitored value before training stops."""
    monitor: str | None = None
    """What "best" is measured by: default the task's headline; "val/loss" falls."""
    clip_norm: Positive | None = None
    ema: EmaConfig | None = None
    seed: Count = 0
    eval_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    save_every: PositiveInt | None = None
    """Steps between checkpoints, besides the one after each epoch."""
    keep_last: Annotated[int, Field(ge=2)] = 2
    """Checkpoints that stay, besides the best weights."""
    log_every: PositiveInt = 50
    """Steps between lines in metrics.jsonl."""


class MachineConfig(Section):
    """What the run may differ in from machine to machine."""

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    gpus: PositiveInt = 1
    threads: PositiveInt | None = None
    deterministic: bool = False


class RunConfig(Section):
    """Everything that decides what a run computes."""

    model: ModelConfig
    task: TaskConfig = TaskConfig()
    recipe: str | None = None
    data: DataConfig = DataConfig()
    transforms: TransformsConfig = TransformsConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    machine: MachineConfig = MachineConfig()
    callbacks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Callbacks to switch on by name, each with its options."""
