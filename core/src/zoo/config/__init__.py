"""The description of a run, and where each value in it came from."""

from zoo.config._schema import RunConfig

__all__ = ["RunConfig"]
