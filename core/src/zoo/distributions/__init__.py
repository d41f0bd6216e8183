"""Install, remove, start and check the distributions that plugins come in; no torch."""

from zoo.distributions._scaffold import new_plugin

__all__ = ["new_plugin"]
