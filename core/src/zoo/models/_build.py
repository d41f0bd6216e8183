"""A model by its name in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from zoo.cards import ModelCard
from zoo.errors import ConfigError, PluginError, ZooError
from zoo.structures import Backbone

if TYPE_CHECKING:
    from zoo.registry import Registry

GIVEN = ("num_classes", "in_channels")
"""What every factory is told by the data, not by the user's options."""


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    registry: Registry | None = None,
    **options: Any,
) -> nn.Module:
    """Build a model with fresh weights from torch's global random state.

    >>> model = build_model("resnet20", num_classes=10)  # doctest: +SKIP

    Args:
        name: short ("resnet34") or full ("resnet:resnet34").
        num_classes: classes as users name them; default: the card's.
        in_channels: channels of the images; default: the card's.
        registry: default: everything that is installed.
        options: of the model's factory, checked against its signature.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: the factory has no such option, or the value has another type.
        PluginCodeError: the factory failed, or gave no model that can learn; names the
            distribution that it came from.
    """
    # The registry imports no torch; importing it here keeps model files free of it.
    from zoo.config import check_options
    from zoo.registry import default_registry

    registry = default_registry() if registry is None else registry
    entry = registry.get("model", name)
    card = entry.card
    if not isinstance(card, ModelCard):
        raise PluginError(f"the card of {name} from {entry.distribution} is no ModelCard")
    if in_channels is not None and in_channels < 1:
        raise ConfigError(f"model.in_channels is {in_channels}; images have at least one channel")
    factory = registry.load(entry)
    # What the card binds makes the model what its name says; it is nobody's option.
    checked = check_options("model", factory, options, provided={*GIVEN, *card.options})
    try:
        model: nn.Module = factory(
            num_classes=card.num_classes if num_classes is None else num_classes,
            in_channels=card.input.channels if in_channels is None else in_channels,
            **checked,
        )
    except (ZooError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: a plugin ends nobody's program
        raise entry.failure("built", error) from error
    if fault := _find_fault(model):
        raise entry.failure("built", TypeError(fault))
    return model


def _find_fault(model: object) -> str:
    """Why what a factory gave is no model; "" where it is one."""
    if not isinstance(model, nn.Module):
        what = model.__name__ if isinstance(model, type) else f"a {type(model).__name__}"
        return f"its factory gave {what}, not an nn.Module"
    parts = {*model.modules()}
    for part in parts:
        for name, value in vars(part).items():
            if isinstance(value, Backbone) and value.module not in parts:
                return f"{name} is a Backbone, whose weights do not learn; keep its .module"
    lazy = next((name for name, of in model.named_parameters() if is_lazy(of)), None)
    return f"{lazy} has no shape before the first image" if lazy else ""
