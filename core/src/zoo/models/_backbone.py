"""A model from the registry as a backbone: its stage maps without its head."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from zoo.errors import ConfigError, UsageError, did_you_mean
from zoo.models._build import build_model
from zoo.models._freeze import freeze_batch_norms
from zoo.structures import Backbone, Stage

if TYPE_CHECKING:
    from zoo.registry import Registry

STEM = "stem"


@runtime_checkable
class StagedModel(Protocol):
    """What an ``nn.Module`` offers to serve as a backbone.

    Attributes:
        backbone_stages: known once the model is built, from the finest map to the coarsest.  A
            stage has the name of the submodule that computes it.  One called "stem" (what comes
            before the first stage) is given only where it is asked for.
        head_parts: names of the submodules that turn the last map into the answer.
    """

    @property
    def backbone_stages(self) -> tuple[Stage, ...]: ...

    @property
    def head_parts(self) -> tuple[str, ...]: ...

    def stage_maps(self, images: Tensor, out: Collection[str]) -> dict[str, Tensor]:
        """The maps (n, channels, h / stride, w / stride) named in ``out``, the finest first.

        Nothing behind the last of them is computed, and nothing of the head.
        """
        ...

    # Not in the protocol, since few have it: ``keep_stages(names)``, which deletes what lies behind
    # the last of them, and the head, where stages are no submodules of the model's own (blocks.5).


def build_backbone(
    name: str,
    *,
    out: Sequence[str] | None = None,
    with_stem: bool = False,
    max_stride: int | None = None,
    norm: Literal["batch", "frozen"] = "batch",
    norm_eps: float | None = None,
    in_channels: int = 3,
    registry: Registry | None = None,
    **options: Any,
) -> Backbone:
    """Build a backbone with fresh weights; its parameters have the names that the model gives them.

    >>> body = build_backbone("resnet34", out=["layer3", "layer4"])  # doctest: +SKIP
    >>> [(stage.channels, stage.stride) for stage in body.stages]  # doctest: +SKIP
    [(256, 16), (512, 32)]

    Args:
        name: of a model whose class is a ``StagedModel``.
        out: the stages whose maps are wanted; default: all but the stem.  Stages behind the last
            one and the head are left out of the module.
        with_stem: whether the default is all, the stem too where there is one.
        max_stride: the default ends with the last stage of at most this stride.
        norm: "frozen" makes every batch norm a constant scale and shift, as detectors do that
            see two images at a time.
        norm_eps: of frozen norms; default: that of the model's norms.
        in_channels: of the images.
        registry: default: everything that is installed.
        options: of the model's factory.

    Raises:
        UsageError: the model gives no stage maps.
        ConfigError: it has no such stage or option, or ``norm_eps`` without frozen norms.
    """
    if norm_eps is not None and norm != "frozen":
        raise ConfigError("norm_eps is for frozen norms", 'Give norm="frozen" with it.')
    model = build_model(name, in_channels=in_channels, registry=registry, **options)
    if not isinstance(model, StagedModel):
        raise UsageError(
            f"{name} gives no stage maps, so it cannot be a backbone",
            "Its class needs what zoo.models.StagedModel describes.",
        )
    if out is None:
        out = [
            stage.name
            for stage in model.backbone_stages
            if (with_stem or stage.name != STEM) and stage.stride <= (max_stride or stage.stride)
        ]
    stages = _wanted_stages(name, model.backbone_stages, out)
    behind_last = model.backbone_stages[model.backbone_stages.index(stages[-1]) + 1 :]
    whole = model.state_dict()
    if (keep := getattr(model, "keep_stages", None)) is not None:
        keep([stage.name for stage in stages])
    else:
        for part in (*model.head_parts, *(stage.name for stage in behind_last)):
            if part in dict(model.named_children()):
                delattr(model, part)
    # What published weights may hold and this module does without.
    left_out = (name.rpartition(".")[0] for name in whole.keys() - model.state_dict().keys())
    model.head_parts = (*model.head_parts, *sorted(set(left_out)))  # type: ignore[misc]
    if norm == "frozen":
        freeze_batch_norms(model, eps=norm_eps)
    # Not a wrapper: a wrapper's prefix would part the names from those of published weights.
    names = tuple(stage.name for stage in stages)
    model.forward = partial(model.stage_maps, out=names)
    return Backbone(module=model, stages=stages)


def _wanted_stages(name: str, stages: Sequence[Stage], out: Sequence[str]) -> tuple[Stage, ...]:
    known = [stage.name for stage in stages]
    for wanted in out:
        if wanted not in known:
            near = did_you_mean(wanted, known)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"{name} has no stage {wanted!r}", f"{hint}Its stages: {', '.join(known)}."
            )
    if not out:
        raise ConfigError("a backbone needs at least one stage", f"Stages: {', '.join(known)}.")
    return tuple(stage for stage in stages if stage.name in out)
