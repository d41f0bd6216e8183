"""What a model's builder promises, and what the model says of its own parts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from zoo.errors import ConfigError, ZooError
from zoo.models import StagedModel, build_backbone, build_model
from zoo_testkit._contract import does_not_apply
from zoo_testkit._listing import list_in_fresh_process
from zoo_testkit._model_case import ModelCase, difference, random_images

MORE = 4
"""Classes between the two models that are compared; both have those of the batch's labels."""


class StructureTests:
    """Names, options and shapes."""

    def test_listing_it_loads_no_torch(self, case: ModelCase) -> None:
        """The plugin's module is imported by every ``zoo list``."""
        plugin = case.plugin

        heavy = list_in_fresh_process(plugin.name, plugin.target).heavy

        assert not heavy, f"{plugin.target} imports {', '.join(heavy)}"

    def test_names_and_docstrings_are_there(self, case: ModelCase) -> None:
        """The builder and the model's class say what they are, and each option has a type."""
        factory = _unbound(case.registry.load(case.entry))
        model_class = type(case.fresh())
        bare = [
            name
            for name, parameter in inspect.signature(factory).parameters.items()
            if parameter.annotation is inspect.Parameter.empty
        ]

        assert factory.__doc__, f"{factory.__name__} has no docstring"
        assert not bare, f"{factory.__name__}: no type is given for {', '.join(bare)}"
        if model_class.__module__.partition(".")[0] == factory.__module__.partition(".")[0]:
            assert model_class.__dict__.get("__doc__"), f"{model_class.__name__} has no docstring"

    def test_a_misspelt_option_is_refused(self, case: ModelCase) -> None:
        """An option that the builder does not have is no option that it ignores."""
        try:
            build_model(case.name, registry=case.registry, no_such_option=1)
        except ZooError:
            return
        raise AssertionError("the builder takes an option no_such_option, which it cannot know")

    def test_num_classes_are_obeyed(self, case: ModelCase) -> None:
        """Tensors of the head grow with the classes, and so does an answer that is one tensor."""
        counts = _few_and_many(case)
        few, many = (case.build(num_classes=k).eval() for k in counts)
        with torch.no_grad():
            answers = [case.call(model) for model in (few, many)]

        assert _depend_on_classes(few, many), "no parameter depends on num_classes"
        if len(answers[0]) == 1:
            shapes = [tuple(answer[0].shape) for answer in answers]
            assert _grows(*shapes), f"answers to {counts} classes have the shapes {shapes}"

    def test_in_channels_are_obeyed(self, case: ModelCase) -> None:
        """Images of another number of channels are taken by a model that is built for them.

        A builder may refuse to build one, by a ``ConfigError``.
        """
        n, channels, height, width = case.call.images.shape
        for other in (1, channels + 1):
            call = case.call.with_images(random_images(n, other, height, width))
            try:
                model = case.build(in_channels=other).eval()
            except ConfigError as refusal:
                does_not_apply(refusal.cause)

            with torch.no_grad():
                answers = call(model)

            assert all(answer.isfinite().all() for answer in answers), f"{other} channels"

    def test_any_image_size_is_taken(self, case: ModelCase) -> None:
        """Larger ones, odd ones and oblong ones; those of its ``tiling`` where it states one."""
        model = case.fresh().eval()
        n, channels, *size_px = case.call.images.shape
        for more_px in ((0, 8), (1, 5), (16, 16)):
            height, width = (
                _size_taken(model, px + more) for px, more in zip(size_px, more_px, strict=True)
            )
            call = case.call.with_images(random_images(n, channels, height, width))

            with torch.no_grad():
                answers = call(model)

            assert all(answer.isfinite().all() for answer in answers), f"{height}x{width} px"

    def test_an_image_alone_gets_the_answer_that_it_gets_in_a_batch(self, case: ModelCase) -> None:
        """A batch of one works, and in evaluation no image's answer depends on its neighbours."""
        if len(case.call.images) == 1:
            does_not_apply("it is shown one image at a time")
        alone = case.call.with_images(case.call.images[:1])

        with torch.no_grad():
            answers = alone(case.fresh().eval())

        apart = difference(answers, [answer[:1] for answer in case.answers])
        assert apart <= case.settings.tolerance, f"answers differ by {apart:.2g} of their size"

    def test_head_parts_are_what_depends_on_the_classes(self, case: ModelCase) -> None:
        """Each is a part of the model, and outside of them nothing depends on ``num_classes``."""
        few, many = (case.build(num_classes=k) for k in _few_and_many(case))
        head = getattr(few, "head_parts", None)
        if head is None:
            does_not_apply("the model names no head_parts")
        absent = [part for part in head if part not in dict(few.named_modules())]
        outside = [
            name
            for name in _depend_on_classes(few, many)
            if not any(name.startswith(f"{part}.") for part in head)
        ]

        assert not absent, f"head_parts names {', '.join(absent)}, which the model has not"
        assert not outside, f"head_parts leaves out {', '.join(outside)}"

    def test_stage_maps_are_as_stated(self, case: ModelCase) -> None:
        """Names, channels and strides, for all stages, for one, and as a backbone."""
        model = case.fresh().eval()
        if not isinstance(model, StagedModel):
            does_not_apply("the model gives no stage maps")
        images, stages = case.call.images, model.backbone_stages
        shapes = {
            stage.name: (stage.channels, *(math.ceil(px / stage.stride) for px in images.shape[2:]))
            for stage in stages
        }
        body = build_backbone(
            case.name,
            out=list(shapes),
            in_channels=images.shape[1],
            registry=case.registry,
            **case.options,
        )

        with torch.no_grad():
            maps = model.stage_maps(images, list(shapes))
            last = model.stage_maps(images, [stages[-1].name])

        found = {name: tuple(stage_map.shape[1:]) for name, stage_map in maps.items()}
        assert list(found) == list(shapes), f"maps of {list(found)}; stages {list(shapes)}"
        assert found == shapes, f"maps are {found}; backbone_stages says {shapes}"
        assert list(last) == [stages[-1].name], f"asked for one stage, got {list(last)}"
        assert body.stages == stages


def _unbound(factory: Callable[..., Any]) -> Any:
    return factory.func if isinstance(factory, partial) else factory


def _size_taken(model: nn.Module, least_px: int) -> int:
    """The smallest size from ``least_px`` on that the model says it takes."""
    tiling = getattr(model, "tiling", None)
    return least_px if tiling is None else int(tiling.input_px(least_px))


def _few_and_many(case: ModelCase) -> tuple[int, int]:
    """Two numbers of classes."""
    return case.num_classes, case.num_classes + MORE


def _depend_on_classes(few: nn.Module, many: nn.Module) -> list[str]:
    """The parameters and buffers whose shapes differ with the number of classes."""
    pairs = zip(few.state_dict().items(), many.state_dict().values(), strict=True)
    return [name for (name, a), b in pairs if _grows(tuple(a.shape), tuple(b.shape))]


def _grows(few: tuple[int, ...], many: tuple[int, ...]) -> bool:
    """Whether a dimension is larger by a multiple of the classes that came (k, k + 1, 4 k ...)."""
    more = [b - a for a, b in zip(few, many, strict=True) if a != b]
    return bool(more) and all(px > 0 and px % MORE == 0 for px in more)
