"""The verbs of the command line: name, where the command is, and its line in ``zoo --help``.

A table of words, so that help and completion import no verb.
"""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "train": ("zoo.cli.train:train", "Train a model, or go on with a run."),
    "eval": ("zoo.cli.eval:eval_", "Score a run, or a model with weights, on a split."),
    "compare": ("zoo.cli.compare:compare", "Score runs on one split, and time them."),
    "predict": ("zoo.cli.predict:predict", "Say what is on images."),
    "export": ("zoo.cli.export:export", "Write a model as a file for other programs."),
    "data": ("zoo.cli.data:data", "Look at data before training on them."),
    "proposals": ("zoo.cli.proposals:proposals", "Make the proposals that detectors look at."),
    "list": ("zoo.cli.list:list_", "List models, datasets, recipes, metrics, tasks, ..."),
    "info": ("zoo.cli.info:info", "Show what is known of a model."),
    "plugins": ("zoo.cli.plugins:plugins", "Install, look after and write plugins."),
    "benchmark": ("zoo.cli.benchmark:benchmark", "Measure how fast a model is on this machine."),
    "doctor": ("zoo.cli.doctor:doctor", "Check this machine and installation."),
}
