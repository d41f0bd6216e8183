"""The description of a run, and where each value in it came from."""

from zoo.config._file import dump_config, load_config
from zoo.config._layers import Layer, assignments_layer, environment_layer, file_layer
from zoo.config._options import check_options
from zoo.config._resolve import ResolvedConfig, resolve
from zoo.config._schema import Count, DataConfig, Fraction, PositiveInt, RunConfig

__all__ = [
    "Count",
    "DataConfig",
    "Fraction",
    "Layer",
    "PositiveInt",
    "ResolvedConfig",
    "RunConfig",
    "assignments_layer",
    "check_options",
    "dump_config",
    "environment_layer",
    "file_layer",
    "load_config",
    "resolve",
]
