"""What is known about a set of trained weights: all that is needed to use them, and no more."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from zoo.cards import InputSpec
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The values beside a run's best weights; evaluation, prediction and export need nothing else.

    Attributes:
        model: full name, "resnet:resnet34".
        distribution, version: of the plugin that built it.
        options: of the model's builder, beyond ``num_classes`` and ``in_channels``.
        num_classes: what the builder was told.
        in_channels: of the images.
        classes: names in the order of the labels.
        input: the evaluation preprocessing at this run's size and channels.
        task: full name, "core:classification".
        task_options: beyond ``classes``.
        transforms: the keywords of the task's ``transforms``.
        metrics: of these weights on the held-out split, "val/top1".
        ema: whether the weights are the moving average.
        step, epoch: at which they were taken; None for published weights.
        weights: name of the published set, where they are one.
        proposals: the ``method`` of ``zoo.proposals`` that the model's regions came from and the
            ``limit`` on their number; nothing for a model that needs none.
    """

    model: str
    distribution: str
    version: str
    num_classes: int
    in_channels: int
    classes: tuple[str, ...]
    input: InputSpec
    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task_options: Mapping[str, Any] = field(default_factory=dict)
    transforms: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    ema: bool = False
    step: int | None = None
    epoch: int | None = None
    weights: str | None = None
    proposals: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold; ``from_json`` takes them back unchanged."""
        values = {"format": _FORMAT, **asdict(self)}
        values["classes"] = list(self.classes)
        values["input"] |= {"mean": list(self.input.mean), "std": list(self.input.std)}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelRecord:
        """The record that ``to_json`` wrote; keys of other owners beside it are left alone.

        Raises:
            CheckpointError: the values are not such a record, or of a later format.
        """
        if values.get("format") != _FORMAT:
            raise CheckpointError(
                f"the weights' record has format {values.get('format')!r}, not {_FORMAT}",
                "Use the version of zoo that wrote the run.",
            )
        try:
            known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            known["classes"] = tuple(known["classes"])
            known["input"] = _input_from_json(known["input"])
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the weights' record is incomplete: {error}",
                "Use another checkpoint of the run (--checkpoint last).",
            ) from None


def _input_from_json(values: Mapping[str, Any]) -> InputSpec:
    options: dict[str, Any] = dict(values)
    return InputSpec(**{**options, "mean": tuple(options["mean"]), "std": tuple(options["std"])})
