"""TrivialAugment and RandAugment on one uint8 image."""

from __future__ import annotations

from zoo.data._policy import Policy
from zoo.errors import ConfigError


def build_policy(text: str) -> Policy:
    """The policy of a description."""
    raise ConfigError(f"transforms.auto_augment {text!r} is not known")
