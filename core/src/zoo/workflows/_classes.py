"""Whether the classes of a model are those of some data, and how two lists of classes differ."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo.errors import DataError
from zoo.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.data.datasets import Source

_WORDNET_ID = re.compile(r"n\d{8}")
_SHOWN = 3
"""Differing classes that a message names."""


def with_classes_of(source: Source, predictor: Predictor) -> Predictor:
    """The predictor, if its classes are those of the data.

    A file of weights knows only how many classes it has, and the folders of ImageNet are named by
    WordNet ids, in the order of the published weights: the names of the data are taken then.

    Raises:
        DataError: other classes, or the same in another order; names the first differences.
    """
    record, ours = predictor.record, tuple(source.classes)
    if ours == record.classes:
        return predictor
    numbered = record.classes == tuple(map(str, range(len(record.classes))))
    wordnet = len(ours) == 1000 and all(map(_WORDNET_ID.fullmatch, ours))
    if record.weights and len(ours) == len(record.classes) and (numbered or wordnet):
        return predictor.renamed(ours)
    raise DataError(
        f"the classes of {source.name} are not those of the model: "
        + difference_of_classes(ours, record.classes),
        f"The model knows {_some(record.classes)}.",
    )


def difference_of_classes(
    ours: Sequence[str], theirs: Sequence[str], we: str = "the data", they: str = "the model"
) -> str:
    """The first differences between two lists of classes that are not the same.

    Args:
        ours, theirs: names, in the order of their labels.
        we, they: whose they are.
    """
    strange = [name for name in ours if name not in set(theirs)]
    missing = [name for name in theirs if name not in set(ours)]
    parts = [f"only in {we}: {_some(strange)}"] if strange else []
    parts += [f"only in {they}: {_some(missing)}"] if missing else []
    if not parts and len(ours) == len(theirs):
        label = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len({*pair}) > 1)
        parts = [f"label {label} is {ours[label]!r} in {we}, {theirs[label]!r} in {they}"]
    return "; ".join(parts) or f"{len(ours)} in {we}, {len(theirs)} in {they}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
