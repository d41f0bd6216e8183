"""The proposals of a run: found or made for its splits, and the same ones whenever it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.cards import TAKES_PROPOSALS, ModelCard
from zoo.config import DataConfig
from zoo.data.datasets import Dataset, Source
from zoo.errors import ConfigError, DataError
from zoo.inference import open_method
from zoo.proposals import (
    RPN,
    Bar,
    Method,
    Proposals,
    ProposedDataset,
    find_or_build,
    is_method,
    read_proposals,
    resolve_method,
)
from zoo.registry import Registry
from zoo.runs import RunFolder
from zoo.wording import to_nobody

if TYPE_CHECKING:
    from zoo.inference import Predictor

PROPOSALS_RECORD = "proposals.json"
"""The file of a run that tells its proposals from others."""


class ProposalSource:
    """Gives splits their proposals: out of a file, or made by a method.

    Args:
        method: that makes them.
        limit: most proposals of an image.
        made: those of a file; then the method is only who made them.
        place: where they are from, for messages.
        registry: of proposers.
        device: for a run that proposes.
        message: told what is made.
        bar: shows how far it is.
    """

    def __init__(
        self,
        method: Method,
        limit: int | None,
        *,
        made: Proposals | None = None,
        place: str = "the cache",
        registry: Registry,
        device: str = "auto",
        message: Callable[[str], None],
        bar: Bar | None = None,
    ) -> None:
        self.method = method
        self._limit = limit
        self._made, self._place = made, place
        self._make = partial(open_method, registry=registry, device=device)
        self._message = message
        self._bar = bar

    @classmethod
    def of_config(cls, data: DataConfig, *, registry: Registry, **options: Any) -> ProposalSource:
        """What ``data.proposals`` names, with the options of the class.

        Raises:
            UsageError: no such method or file, or an option that the method has not.
        """
        word = data.proposals or ""
        if is_method(word, registry):
            method = resolve_method(word, data.proposals_options, registry)
        else:
            options |= _in_file(word)
            method = options["made"].method
        return cls(method, data.proposals_limit, registry=registry, **options)

    def of(self, dataset: Dataset) -> ProposedDataset:
        """The split with proposals, which are made first where they are not in the cache.

        Raises:
            DataError: the file has none for an image; names the first.
            UsageError: the method needs what is not installed.
        """
        found = self._made
        if found is None:
            found = find_or_build(
                [dataset], self.method, self._make, message=self._message, bar=self._bar
            )
        return ProposedDataset(dataset, found, limit=self._limit, place=self._place)

    def record(self) -> dict[str, Any]:
        """What ``ModelRecord.proposals`` keeps."""
        return {"method": self.method.to_json(), "limit": self._limit}


def propose_for(source: Source, proposals: ProposalSource) -> Source:
    """The source whose "train" and "val" have proposals."""
    splits = {split: proposals.of(source.splits[split]) for split in ("train", "val")}
    return replace(source, splits={**source.splits, **splits})


def with_proposals_for(
    predictor: Predictor,
    source: Source,
    split: str,
    *,
    word: str | None,
    registry: Registry,
    message: Callable[[str], None],
    bar: Bar | None = None,
) -> Source:
    """The source whose ``split`` has the proposals that a trained model wants, if it does.

    Args:
        split: one of the source's, or "all" of undivided images.
        word: ``data.proposals`` of the run, or what replaces it: a file has them already.
    """
    if not predictor.record.proposals:
        return source
    in_file: dict[str, Any] = {}
    if word and not is_method(word, registry):
        in_file = _in_file(word)
    proposals = ProposalSource(
        Method.from_json(predictor.record.proposals["method"]),
        predictor.record.proposals.get("limit"),
        **in_file,
        registry=registry,
        device=str(predictor.device),
        message=message,
        bar=bar,
    )
    if split in source.splits:
        splits = {**source.splits, split: proposals.of(source.splits[split])}
        return replace(source, splits=splits)
    return source if source.whole is None else replace(source, whole=proposals.of(source.whole))


def check_proposals(data: DataConfig, card: ModelCard, registry: Registry) -> None:
    """Refuse what ``[data]`` says of proposals where it cannot be done.

    Raises:
        ConfigError: the model reads none, or options are given without a method.
        UsageError: no such method, file, run or option.
    """
    if data.proposals is None:
        if data.proposals_options or data.proposals_limit:
            raise ConfigError(
                "data.proposals names nothing, and proposals_options or proposals_limit is set",
                "Name a method: data.proposals = NAME; `zoo list proposers` shows them.",
            )
        return
    _check_takes_proposals(card)
    if is_method(data.proposals, registry):
        resolve_method(data.proposals, data.proposals_options, registry)
    elif data.proposals_options:
        raise ConfigError(
            "data.proposals is a file, and data.proposals_options are for a method",
            "Leave them out: what is in the file is made already.",
        )


def absolute_proposals(word: str, registry: Registry) -> str:
    """What names the same proposals from any folder."""
    kind, _, path = word.partition(":")
    if kind == RPN:
        return f"{RPN}:{Path(path).expanduser().absolute()}"
    return word if is_method(word, registry) else str(Path(word).expanduser().absolute())


def proposing(predictor: Predictor, word: str, registry: Registry) -> Predictor:
    """The predictor with the proposals that a word names, in place of the run's.

    Raises:
        UsageError: no such method or file, or the model looks at no proposals.
    """
    _check_takes_proposals(cast("ModelCard", registry.get("model", predictor.record.model).card))
    source = ProposalSource.of_config(
        DataConfig(proposals=word), registry=registry, message=to_nobody
    )
    return predictor.proposing(
        source.method, partial(open_method, source.method, registry=registry)
    )


def hashes_of(source: Source) -> dict[str, str]:
    """What tells the proposals of each split from others."""
    splits = source.splits.items()
    return {name: of.sha256() for name, of in splits if isinstance(of, ProposedDataset)}


def check_same_proposals(folder: RunFolder, hashes: Mapping[str, str]) -> None:
    """Refuse to go on with other proposals than those that the run has learned from.

    Raises:
        DataError: naming the split.
    """
    if not hashes:
        return
    before = folder.read_json(PROPOSALS_RECORD)
    for split, sha256 in hashes.items():
        if before.get(split) != sha256:
            raise DataError(
                f"the proposals of {split} are not those that {folder.path} was trained on",
                "Give those: --set data.proposals=FILE with what made them then, or start anew.",
            )


def _in_file(word: str) -> dict[str, Any]:
    """What a ``ProposalSource`` is told of a file."""
    file = Path(word).expanduser()
    return {"made": read_proposals(file), "place": str(file)}


def _check_takes_proposals(card: ModelCard) -> None:
    if TAKES_PROPOSALS not in card.tags:
        raise ConfigError(
            f"{card.name} looks at no proposals from outside",
            "Leave data.proposals out, or take a detector that does, such as fast_rcnn_resnet18.",
        )
