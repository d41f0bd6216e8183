"""timm's models under zoo's contracts: classes, channels, heads, features and stage maps.

A model stays timm's own, with its names of parameters and its way to initialise them; its class is
extended by what zoo asks of a model, so that published weights load unchanged.

Shapes: n images, c channels, h w height and width in px, k classes, d features.

timm is imported when a model is built, and need not be installed before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from zoo.cards import read_card_table
from zoo.errors import ConfigError, PluginError
from zoo.extras import import_extra
from zoo.structures import Stage
from zoo_timm.plugin import TABLE, read_row


class TimmModel(nn.Module):
    """What zoo asks of a classifier, over timm's class (``extend`` puts the two together).

    ``forward(images)``, timm's own, turns (n, c, h, w), normalised, into logits (n, k).

    Attributes:
        head_parts: names of the submodules whose shapes depend on the classes.
        build: timm's builder with the options of this model, but its classes and channels.
    """

    head_parts: tuple[str, ...]
    build: functools.partial[nn.Module]
    # timm's own, as every classifier of it has them:
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[..., Tensor]
    forward_intermediates: Callable[..., Any]
    prune_intermediate_layers: Callable[..., Any]
    feature_info: Iterable[Mapping[str, Any]]
    pretrained_cfg: Mapping[str, Any]

    def embed(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) -> the pooled feature h (n, d)."""
        return self.forward_head(self.forward_features(images), pre_logits=True)

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, c, h, w) -> logits (n, k) and the pooled feature h (n, d)."""
        maps = self.forward_features(images)
        return self.forward_head(maps), self.forward_head(maps, pre_logits=True)

    def convert_weights(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Published tensors under timm's names and shapes of today, by timm's own conversion.

        Args:
            tensors: of a file; those that differ from this model's in the head alone are returned
                as they are, and so are those that timm cannot read: who compares them says so.
        """
        own = self.state_dict()
        strange = (n for n, t in tensors.items() if n not in own or own[n].shape != t.shape)
        if all(name.rpartition(".")[0] in self.head_parts for name in strange):
            return tensors
        source: dict[str, Any] = {"state_dict": dict(tensors)}
        if (bias := tensors.get(f"{self.head_parts[0]}.bias")) is not None:
            source["num_classes"] = len(bias)
        try:
            twin = self.build(pretrained=True, pretrained_cfg_overlay=source)
        except (RuntimeError, KeyError):
            return tensors
        return cast(Mapping[str, Tensor], twin.state_dict())


class StagedTimmModel(TimmModel):
    """A classifier whose inner maps a detector or U-Net may ask for.

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
        wanted = self._indices(out)
        maps: list[Tensor] = self.forward_intermediates(
            images, indices=list(wanted.values()), stop_early=True, intermediates_only=True
        )
        return dict(zip(wanted, maps, strict=True))

    def keep_stages(self, names: Sequence[str]) -> None:
        """Delete what lies behind the last of the named stages, and the head."""
        self.prune_intermediate_layers(list(self._indices(names).values()), prune_head=True)

    def _indices(self, names: Collection[str]) -> dict[str, int]:
        return {s.name: i for i, s in enumerate(self.backbone_stages) if s.name in names}


def timm_model(
    variant: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int | None = None,
    drop_rate: float = 0.0,
    drop_path: float = 0.0,
) -> TimmModel:
    """A classifier with fresh weights.

    Args:
        variant: timm's name.
        num_classes: classes that the logits are for.
        in_channels: channels of the images.
        image_size: px, for models that are built for one size (vit, swin); default: the card's.
        drop_rate: dropout before the last layer.
        drop_path: stochastic depth's rate at the last block.

    Raises:
        UsageError: timm is not installed.
        PluginError: it is an older one, which lacks the model.
        ConfigError: the model has no such option.
    """
    timm = import_extra(
        "timm", library="timm", purpose=f"the model {variant}", install="zoo-timm[timm]"
    )
    if not timm.is_model(variant):
        raise PluginError(
            f"timm {timm.__version__} has no {variant}",
            f"zoo-timm's table was made for timm {read_card_table(TABLE)[0]['version']}.",
        )
    asked = {"img_size": image_size, "drop_rate": drop_rate, "drop_path_rate": drop_path}
    options = {name: value for name, value in asked.items() if value}
    build = functools.partial(timm.create_model, variant, **options)
    try:
        model = build(num_classes=num_classes, in_chans=in_channels)
    except TypeError as error:
        if not any(name in str(error) for name in options):
            raise
        raise ConfigError(f"{variant} has no such option: {error}", "Leave it out.") from error
    return _adapt(model, build, staged="backbone" in read_row(variant)[5])


def _adapt(model: nn.Module, build: functools.partial[nn.Module], *, staged: bool) -> TimmModel:
    """timm's model as zoo's."""
    adapted = extend(StagedTimmModel if staged else TimmModel, model)
    classifier = adapted.pretrained_cfg["classifier"]
    adapted.head_parts = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    adapted.build = build
    if isinstance(adapted, StagedTimmModel):
        adapted.backbone_stages = tuple(
            Stage(stage["module"], stage["num_chs"], stage["reduction"])
            for stage in adapted.feature_info
        )
    return adapted


def extend(kind: type[TimmModel], model: nn.Module) -> TimmModel:
    """Give a model the methods of ``kind`` over those of its own class."""
    model.__class__ = _joint_class(cast(Any, kind), cast(Any, type(model)))
    return cast(TimmModel, model)


@functools.cache
def _joint_class(kind: type, library_class: type) -> type:
    """One class of the two, under timm's name."""
    doc = library_class.__doc__ or kind.__doc__
    return type(library_class.__name__, (kind, library_class), {"__doc__": doc})
