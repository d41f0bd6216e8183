"""torchvision's models under zoo's contracts: classes, channels, heads, features and stage maps.

A model stays torchvision's own, with its names of parameters and its way to initialise them; its
class is extended by what zoo asks of a model, so that published weights load unchanged.

Shapes: n images, c channels, h w height and width in px, k classes, d features.

torchvision is imported when a model is built: its package alone takes seconds.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.structures import Detections, DetectorOutput, LossSum, SampleKeys, Stage
from zoo_torchvision.plugin import read_row

RGB = 3
BODIES = ("features", "layers", "trunk_output", "blocks")
"""Submodules whose own children run one after another."""
RESCALED = ("googlenet", "inception_v3")
"""Their published weights are for a rescaled input."""
TRAINING_HEADS = ("aux1", "aux2", "AuxLogits", "aux_classifier")
"""Of some published files; models here are built without them."""
BACKGROUND = {"classification": 0, "segmentation": 0, "detection": 1}
"""Classes that torchvision's builders count and users do not."""
OLD_DENSE_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""Which torchvision renames while it downloads, and not while it loads."""
HEADS = ("avgpool", "classifier", "norm", "aux1", "AuxLogits", "fc")
"""Submodules at which a network's chain of maps ends."""


class TorchvisionModel(nn.Module):
    """What zoo asks of a model, over torchvision's class (``extend`` puts the two together).

    Attributes:
        head_parts: names of the submodules whose shapes depend on the classes.
        published: builds the model with as many classes as its published weights have.
    """

    head_parts: tuple[str, ...]
    published: functools.partial[nn.Module]

    def convert_weights(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Published tensors under today's names, which torchvision's own loading gives them.

        Those of heads that serve training alone are left out, as torchvision leaves them.

        Args:
            tensors: of a file; those of this model's own names are returned as they are.
        """
        tensors = {
            OLD_DENSE_NAME.sub(r"\1\2.", name): tensor
            for name, tensor in tensors.items()
            if name.partition(".")[0] not in TRAINING_HEADS
        }
        if tensors.keys() <= self.state_dict().keys():
            return tensors
        twin = on_meta(self.published)
        try:
            result = twin.load_state_dict(tensors, strict=False, assign=True)
        except RuntimeError:  # other shapes: whoever compares them says so better
            return tensors
        renamed = {name: t for name, t in twin.state_dict().items() if not t.is_meta}
        return {**{n: tensors[n] for n in result.unexpected_keys if n in tensors}, **renamed}


class Classifier(TorchvisionModel):
    """``forward(images)``: (n, c, h, w), normalised -> logits (n, k)."""

    def embed(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) -> the feature (n, d) that the last layer with classes sees."""
        return self.logits_and_features(images)[1]

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, c, h, w) -> logits (n, k) and the pooled feature h (n, d)."""
        seen: list[Tensor] = []
        last = self.get_submodule(self.head_parts[0])
        hook = last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        try:
            logits: Tensor = self(images)
        finally:
            hook.remove()
        feature = seen[0]
        return logits, feature.flatten(2).mean(2) if feature.ndim == 4 else feature


class StagedClassifier(Classifier):
    """A classifier that is a chain of maps, each of which a detector or U-Net may ask for.

    Attributes:
        backbone_stages: named after the submodule that computes the map, the finest first.
    """

    backbone_stages: tuple[Stage, ...]

    def stage_maps(self, images: Tensor, out: Collection[str]) -> dict[str, Tensor]:
        """The maps of the stages named in ``out``, computed no further than the last of them.

        Args:
            images: (n, c, h, w), normalised.
            out: names from ``backbone_stages``.

        Returns:
            (n, channels, ceil(h / stride), ceil(w / stride)) for each name, the finest first.
        """
        transform = getattr(self, "_transform_input", None)
        x = images if transform is None else transform(images)
        channels_last = is_channels_last(self)
        maps: dict[str, Tensor] = {}
        for name, module in body(self):
            x = module(x)
            if name in out:
                maps[name] = x.permute(0, 3, 1, 2) if channels_last else x
                if len(maps) == len(out):
                    break
        return maps

    def keep_stages(self, names: Sequence[str]) -> None:
        """Delete what lies behind the last of the named stages, and the head."""
        chain = [name for name, _ in body(self)]
        last = max(chain.index(name) for name in names)
        roots = {name.partition(".")[0] for name in chain[: last + 1]}
        for name in chain[last + 1 :]:
            parent, _, child = name.rpartition(".")
            delattr(self.get_submodule(parent), child)
        for name in {name for name, _ in self.named_children()} - roots:
            delattr(self, name)


class Segmenter(TorchvisionModel):
    """``forward(images)``: (n, c, h, w), normalised -> logits (n, k, h, w)."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits of each pixel."""
        maps: dict[str, Tensor] = super().forward(images)
        return maps["out"]


class Detector(TorchvisionModel):
    """``forward(images, sizes, targets, keys=..., detect=...)`` -> ``DetectorOutput``.

    torchvision's detectors have losses in training mode alone, and detections in evaluation mode
    alone: there is no validation loss.  They resize and normalise by themselves, and their random
    choices are those of torch's generator.  Boxes would have the precision of the features, several
    px in bf16: detectors run in float32 throughout.
    """

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Mapping[str, Tensor] | None = None,
        *,
        keys: SampleKeys | None = None,
        detect: bool = True,
    ) -> DetectorOutput:
        """Losses in training mode, detections in evaluation mode.

        Args:
            images: (b, 3, h, w) from 0 to 1, each in the top left corner.
            sizes: (b, 2) each image's own height and width in px.
            targets: ``boxes`` and ``labels`` to learn from.
            keys: not used.
            detect: whether detections are wanted.

        Raises:
            ConfigError: the model learns from more than boxes.
        """
        shown = [i[:, :h, :w] for i, (h, w) in zip(images, sizes.tolist(), strict=True)]
        if self.training and targets is not None:
            self._check_learns_from_boxes()
            losses = self._library_forward(shown, _library_targets(targets))
            count = len(shown)
            sums = {name.removeprefix("loss_"): loss * count for name, loss in losses.items()}
            return DetectorOutput({name: LossSum(of, count) for name, of in sums.items()}, [])
        if self.training or not detect:
            return DetectorOutput({}, [])
        return DetectorOutput({}, [_detections(of) for of in self._library_forward(shown)])

    def _library_forward(self, *args: Any) -> Any:
        with torch.autocast(args[0][0].device.type, enabled=False):
            return super().forward(*args)

    def _check_learns_from_boxes(self) -> None:
        heads = getattr(self, "roi_heads", None)
        for part in ("mask", "keypoint"):
            if heads is not None and getattr(heads, f"has_{part}")():
                raise ConfigError(
                    f"{type(self).__name__} learns from {part}s too, which detection has not",
                    "Train a detector of boxes, such as torchvision:fasterrcnn_resnet50_fpn.",
                )


def _library_targets(targets: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Targets as torchvision's detectors want them, which know no crowds and difficult objects."""
    labels = targets["labels"]
    learned = labels >= 0
    for name in ("crowd", "difficult"):
        if name in targets:
            learned = learned & ~targets[name].bool()
    return [
        {"boxes": boxes[keep], "labels": of[keep] + BACKGROUND["detection"]}
        for boxes, of, keep in zip(targets["boxes"], labels, learned, strict=True)
    ]


def _detections(found: Mapping[str, Tensor]) -> Detections:
    """torchvision's answer for an image; some of its detectors can answer with the background."""
    real = found["labels"] >= BACKGROUND["detection"]
    labels = found["labels"][real] - BACKGROUND["detection"]
    return Detections(found["boxes"][real], found["scores"][real], labels)


def classification_model(
    variant: str, *, num_classes: int, in_channels: int = RGB, image_size: int | None = None
) -> TorchvisionModel:
    """A classifier with fresh weights.

    Args:
        variant: torchvision's name.
        num_classes: classes that the logits are for.
        in_channels: channels of the images.
        image_size: px, for models that are built for one size (vit, maxvit); default: the card's.
    """
    stages = tuple(Stage(*stage) for stage in read_row(variant)["stages"])
    options = {} if image_size is None else _fixed_size(variant, image_size)
    if variant in RESCALED and in_channels != RGB:
        options["transform_input"] = False
    kind = StagedClassifier if stages else Classifier
    model = _build(kind, variant, num_classes, in_channels, options)
    if isinstance(model, StagedClassifier):
        model.backbone_stages = stages
    return model


def segmentation_model(
    variant: str, *, num_classes: int, in_channels: int = RGB
) -> TorchvisionModel:
    """A model that gives each pixel its logits, with fresh weights throughout.

    Args:
        variant: torchvision's name.
        num_classes: classes of a mask, background among them.
        in_channels: channels of the images.
    """
    return _build(Segmenter, variant, num_classes, in_channels, {})


def detection_model(
    variant: str,
    *,
    num_classes: int,
    in_channels: int = RGB,
    min_size: int | None = None,
    max_size: int | None = None,
) -> TorchvisionModel:
    """A detector with fresh weights throughout.

    Args:
        variant: torchvision's name.
        num_classes: classes as users name them; the background is added inside.
        in_channels: 3, since the detectors normalise RGB images themselves.
        min_size: px to which it resizes the shorter side, in all but SSDs.
        max_size: px that the longer side may have then.

    Raises:
        ConfigError: other channels, or sizes for a detector of one size.
    """
    if in_channels != RGB:
        raise ConfigError(f"{variant} takes RGB images, not {in_channels} channels")
    sizes = {"min_size": min_size, "max_size": max_size}
    chosen = {name: size for name, size in sizes.items() if size is not None}
    if chosen and variant.startswith("ssd"):
        raise ConfigError(
            f"{variant} sees every image at one size", f"Leave model.{next(iter(chosen))} out."
        )
    return _build(Detector, variant, num_classes, RGB, chosen)


def library_builder(variant: str, task: str, **options: Any) -> functools.partial[nn.Module]:
    """torchvision's own builder, told to load nothing; it wants ``num_classes`` alone."""
    from torchvision.models import get_model_builder

    if task != "classification":
        options["weights_backbone"] = None
    if variant in RESCALED:
        options = {"aux_logits": False, "init_weights": True, "transform_input": True, **options}
    return functools.partial(get_model_builder(variant), weights=None, **options)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """The model without numbers: on the meta device from the start, where its builder can that."""
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:  # RegNet's reckons with tensors
        return build().to("meta")


def is_channels_last(model: nn.Module) -> bool:
    """Whether the maps in the model's chain are (n, h, w, channels)."""
    from torchvision.models import SwinTransformer

    return isinstance(model, SwinTransformer)


def body(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules before the head, by name, each of which takes the map of the one before it."""
    for name, child in model.named_children():
        if name in HEADS:
            return
        if name in BODIES:
            yield from ((f"{name}.{part}", module) for part, module in child.named_children())
        else:
            yield name, child


def extend(kind: type[TorchvisionModel], model: nn.Module) -> TorchvisionModel:
    """Give a model the methods of ``kind`` over those of its own class."""
    model.__class__ = _joint_class(cast(Any, kind), cast(Any, type(model)))
    return cast(TorchvisionModel, model)


@functools.cache
def _joint_class(kind: type, library_class: type) -> type:
    """One class of the two, under torchvision's name."""
    doc = library_class.__doc__ or kind.__doc__
    return type(library_class.__name__, (kind, library_class), {"__doc__": doc})


def _build(
    kind: type[TorchvisionModel],
    variant: str,
    num_classes: int,
    in_channels: int,
    options: Mapping[str, Any],
) -> TorchvisionModel:
    """torchvision's model with fresh weights, as one of ``kind``."""
    row = read_row(variant)
    background = BACKGROUND[row["task"]]
    build = library_builder(variant, row["task"], **options)
    model = extend(kind, build(num_classes=num_classes + background))
    model.head_parts = tuple(row["head"])
    model.published = functools.partial(build, num_classes=row["classes"] + background)
    if in_channels != RGB:
        _change_stem(model, in_channels)
    return model


def _fixed_size(variant: str, image_size: int) -> dict[str, Any]:
    """torchvision's option for the size of the images."""
    if variant.startswith("vit_"):
        return {"image_size": image_size}
    if variant.startswith("maxvit_"):
        return {"input_size": (image_size, image_size)}
    raise ConfigError(f"{variant} takes images of any size", "Leave model.image_size out.")


def _change_stem(model: nn.Module, in_channels: int) -> None:
    """Replace the first convolution by a fresh one for images of other channels.

    Its weights are drawn as torchvision draws those of the RGB one: each further channel has the
    entries of that fresh draw in another random order.
    """
    name, rgb = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    stem = nn.Conv2d(
        in_channels,
        rgb.out_channels,
        rgb.kernel_size,  # type: ignore[arg-type]
        stride=rgb.stride,  # type: ignore[arg-type]
        padding=rgb.padding,  # type: ignore[arg-type]
        dilation=rgb.dilation,  # type: ignore[arg-type]
        bias=rgb.bias is not None,
        device=rgb.weight.device,
    )
    drawn = [rgb.weight.detach()]
    for _ in range(in_channels // rgb.in_channels):
        order = torch.randperm(rgb.weight.numel(), device=rgb.weight.device)
        drawn.append(rgb.weight.detach().flatten()[order].reshape(rgb.weight.shape))
    stem.weight = nn.Parameter(torch.cat(drawn, dim=1)[:, :in_channels].clone())
    stem.bias = rgb.bias
    model.set_submodule(name, stem)
