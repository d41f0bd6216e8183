"""The description of a run: one frozen, typed tree.

``RunConfig`` is the schema of ``config.toml``, of ``--config``, of ``ZOO_SECTION__KEY`` and of
``--set section.key=value`` alike.  A section that names a thing (model, task, optimizer, schedule)
takes, beside its own keys, the options of that thing, whose schema is the signature of its factory.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of fixed keys; any other key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OpenSection(BaseModel):
    """A section whose other keys are the options of the thing that it names."""

    bound_to_name: ClassVar[frozenset[str]] = frozenset()
    """Own keys that mean something for one name only, and fall with it as its options do."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are not the section's own."""
        return dict(self.model_extra or {})


class ModelConfig(OpenSection):
    """Which model; other keys are options of its builder."""

    name: Text
    """Short ("resnet34") or full ("resnet:resnet34")."""
    weights: Text | None = None
    """A published set's name, a .safetensors or .pth file, or a run, to start from."""
    backbone_weights: Text | None = None
    """The same for the model's backbone alone: names are those published for the backbone."""
    freeze: tuple[str, ...] = ()
    """Parts that do not learn: "backbone", or prefixes of parameter names."""


class TaskConfig(OpenSection):
    """Which task; other keys are its options (losses and their weights)."""

    name: Text | None = None
    """Default: the task of the model's card."""


class DataConfig(Section):
    """Which images, how they are split and how they are read."""

    source: Text | None = None
    """A name, name:path, a path, or layout:path; default: the task's embedded data set."""
    image_size: Annotated[int, Field(gt=0, le=16_384)] | None = None
    """Height and width in px that the model sees; default: the card's."""
    val_fraction: Fraction = 0.2
    """Of a source without splits of its own, drawn per class."""
    split_seed: Count = 0
    """Of that draw."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """"skip" checks all images first, and says which it leaves out."""
    on_bad_box: Literal["fail", "clip", "skip"] = "fail"
    """"clip" cuts boxes that reach out of their image, "skip" leaves out all bad ones."""
    proposals: Text | None = None
    """Where objects could be: a proposer's name, rpn:RUN, or a file; default: the model's grid."""
    proposals_limit: PositiveInt | None = None
    """Of an image, the best; default: all."""
    proposals_options: dict[str, Any] = Field(default_factory=dict)
    """Of the proposer that ``proposals`` names."""
    download: bool = False
    """Whether a registered data set that is not here may be fetched."""
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    """"balanced" draws every class equally often."""
    group_by_ratio: bool = True
    """Training batches hold images of similar width by height, where boxes lie in files."""
    repeats: PositiveInt = 1
    """Copies of a sample in an epoch, each augmented anew (repeated augmentation)."""
    cache: Literal["auto", "memory", "none"] = "auto"
    """Whether decoded images stay in memory; "auto" keeps them where they fit."""
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Loader processes of training and evaluation; default: what machine and data ask for."""


class TransformsConfig(OpenSection):
    """Augmentation; the keys are those of the task's ``transforms``."""


class OptimizerConfig(OpenSection):
    """Which optimizer; other keys are its options (momentum, betas)."""

    bound_to_name = frozenset({"learning_rate", "scale_to_batch", "weight_decay"})

    name: Text = "sgd"
    """One of sgd, adamw, adam, rmsprop, lamb."""
    learning_rate: Positive | None = None
    """The schedule's highest; default: what suits the optimizer."""
    scale_to_batch: PositiveInt | None = None
    """The batch size that learning_rate is stated for; the rate scales linearly with ours."""
    weight_decay: NotNegative | None = None
    """Default: what suits the optimizer."""
    undecayed: Literal["norms_and_biases", "norms", "nothing"] = "norms_and_biases"
    """Which parameters are spared from weight decay."""
    layer_rates: dict[str, Positive] = Field(default_factory=dict)
    """Factor of the learning rate for parameters whose names start so (fine-tuning)."""


class ScheduleConfig(OpenSection):
    """How the learning rate moves; other keys are the schedule's options."""

    name: Text = "cosine"
    """One of constant, step, cosine, one_cycle, poly, plateau."""
    warmup_epochs: NotNegative = 0.0
    """How long the rate climbs to the curve, in a straight line."""
    warmup_from: Fraction = 0.0
    """The fraction of the rate that warm-up starts from."""
    each: Literal["step", "epoch"] = "step"
    """When the rate moves: at every step, or (as torchvision and timm do) once an epoch."""


class EmaConfig(Section):
    """Exponential moving average of the weights, which is what is then scored and kept."""

    decay: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    """What the average keeps of itself at each update."""
    every_steps: PositiveInt = 1
    """Steps between updates."""
    warmup_steps: Count = 0
    """The average follows the weights freely for so many steps."""


class TrainingConfig(Section):
    """How long, how much at a time, and what counts as best."""

    epochs: PositiveInt = 20
    """Passes over the training images."""
    batch_size: PositiveInt = 32
    """Images per optimizer step over all processes."""
    micro_batch_size: PositiveInt | None = None
    """Images per forward pass on one device; default: the whole share.  Less where memory ends."""
    max_steps: PositiveInt | None = None
    """Steps after which training ends."""
    time_limit_s: Positive | None = None
    """Seconds of training after which it ends, resumed parts included."""
    patience: PositiveInt | None = None
    """Epochs without a better monitored value before training stops."""
    monitor: Text | None = None
    """What "best" is measured by: default the task's headline; losses and errors fall."""
    clip_norm: Positive | None = None
    """Greatest norm of the gradient of all parameters; longer ones are scaled to it."""
    ema: EmaConfig | None = None
    """A moving average of the weights."""
    seed: Count = 0
    """Of everything random: fresh weights, order, augmentation."""
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

    device: Text = "auto"
    """"auto", "cpu", "cuda", "cuda:N" or "mps"; "auto" takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of convolutions and matrix products; weights stay fp32."""
    channels_last: bool = True
    """Memory format of images and weights, which most convolutions are fastest in."""
    compile: bool = False
    """Compile the model first, which takes minutes."""
    gpus: PositiveInt = 1
    """Processes on this machine, a GPU for each."""
    threads: Annotated[int, Field(gt=0, le=1024)] | None = None
    """CPU threads of each process, on which last digits depend; default: torch's own number."""
    deterministic: bool = False
    """Only kernels that give the same bits on every run."""


class RunConfig(Section):
    """Everything that decides what a run computes."""

    model: ModelConfig
    task: TaskConfig = TaskConfig()
    recipe: Text | None = None
    data: DataConfig = DataConfig()
    transforms: TransformsConfig = TransformsConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    machine: MachineConfig = MachineConfig()
    callbacks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Callbacks to switch on by name, each with its options."""
