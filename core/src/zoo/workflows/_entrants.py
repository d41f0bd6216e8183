"""The runs of a comparison: open, and found to be comparable on one split of the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.data.datasets import Dataset, Source
from zoo.data.sources import open_source
from zoo.errors import UsageError, ZooError
from zoo.inference import Predictor
from zoo.proposals import Bar
from zoo.registry import Registry
from zoo.wording import to_nobody
from zoo.workflows._classes import difference_of_classes, with_classes_of
from zoo.workflows._evaluate import data_settings, default_data, split_of
from zoo.workflows._proposals import with_proposals_for
from zoo.workflows._run_labels import run_labels

Message = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A run that is open, and what it will be scored on.

    Attributes:
        path: its folder, as it was named.
        label: the part of the path in which the runs differ.
        source: the data, with images of as many channels as the model takes; once ``proposed``,
            its split has the proposals that the model wants.
        dataset: the split of them.
        workers: processes that read images; None takes what suits the machine.
    """

    path: Path
    label: str
    predictor: Predictor
    source: Source
    dataset: Dataset
    workers: int | None


def open_entrants(
    runs: Sequence[str | Path],
    open_run: Callable[[Path], Predictor],
    *,
    data: str | None,
    split: str,
    data_options: Mapping[str, Any],
    registry: Registry,
    message: Message,
) -> list[Entrant]:
    """All runs, in the order in which they were named.

    Args:
        runs: their folders.
        open_run: ``open_predictor`` with what was chosen for all of them.
        data: what they are scored on; None: the data of the first run, read as it read them.
        split: of the data.
        data_options: of the config section ``[data]``.

    Raises:
        UsageError: a folder is no run, fewer than two differ, or they cannot be compared.
        DataError: the data cannot be opened, or are not for these runs.
    """
    paths = _distinct([Path(run) for run in runs], message)
    predictors = [_opened(path, open_run) for path in paths]
    _check_comparable(paths, predictors)
    settings = data_settings(paths[0], data, data_options)
    place = settings.source or default_data(predictors[0].record, registry)
    sources: dict[int, Source] = {}
    entrants = []
    for path, label, predictor in zip(paths, run_labels(paths), predictors, strict=True):
        channels = predictor.record.in_channels
        if channels not in sources:
            sources[channels] = open_source(
                place,
                registry=registry,
                data=settings,
                channels=channels,
                message=to_nobody if sources else message,
                undivided=data is not None and split == "all",
            )
        entrants.append(
            Entrant(
                path=path,
                label=label,
                predictor=with_classes_of(sources[channels], predictor),
                source=sources[channels],
                dataset=split_of(sources[channels], split),
                workers=settings.workers,
            )
        )
    entrants[0].predictor.task.check_targets({split: entrants[0].dataset})
    return entrants


def proposed(
    entrant: Entrant, split: str, *, registry: Registry, message: Message, bar: Bar | None
) -> Entrant:
    """The run with the proposals that its model wants, which are made first where none are kept.

    Args:
        entrant: that ``open_entrants`` gave.
        split: that it will be scored on.
        registry: of proposers.
        message: told what is made.
        bar: shows how far it is.

    Raises:
        UsageError: what made the proposals of the run is not here.
        DataError: the file of the run's proposals has none for an image.
    """
    source = with_proposals_for(
        entrant.predictor,
        entrant.source,
        split,
        word=data_settings(entrant.path, None, {}).proposals,
        registry=registry,
        message=message,
        bar=bar,
    )
    return replace(entrant, source=source, dataset=split_of(source, split))


def _distinct(paths: Sequence[Path], message: Message) -> list[Path]:
    """The paths, each folder once.

    Raises:
        UsageError: there are fewer than two.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if found.setdefault(path.resolve(), path) is not path:
            message(f"{path} is named twice, and compared once")
    if len(found) < 2:
        raise UsageError(
            "a comparison takes two runs or more", "`zoo eval RUN` scores a single one."
        )
    return list(found.values())


def _opened(path: Path, open_run: Callable[[Path], Predictor]) -> Predictor:
    try:
        return open_run(path)
    except ZooError as error:
        cause = error.cause if str(path) in error.cause else f"{path}: {error.cause}"
        raise UsageError(cause, error.cure) from error


def _check_comparable(paths: Sequence[Path], predictors: Sequence[Predictor]) -> None:
    """See that all do what the first one does.

    Raises:
        UsageError: one has another task, or other classes.
    """
    first = predictors[0].record
    for path, predictor in zip(paths[1:], predictors[1:], strict=True):
        record = predictor.record
        if record.task != first.task:
            tasks = [name.rpartition(":")[2] for name in (first.task, record.task)]
            raise UsageError(
                f"{paths[0]} does {tasks[0]}, and {path} does {tasks[1]}: they have no figure in"
                " common",
                "Compare runs of one task.",
            )
        if record.classes != first.classes:
            difference = difference_of_classes(
                first.classes, record.classes, str(paths[0]), str(path)
            )
            raise UsageError(
                f"the runs know different classes: {difference}",
                "Compare runs that were trained on the same classes, in the same order.",
            )
