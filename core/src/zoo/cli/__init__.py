"""Turn words into a run's config, call one workflow, print the answer; one file per verb."""

from zoo.cli._main import main

__all__ = ["main"]
