"""Cards: the static facts of everything that has a name.  No torch, so that listing is instant.

A plugin's hooks return cards.  ``factory`` is ``"module:function"`` and is imported only when the
thing is built; it is called with the card's ``options`` bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, overload

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_HASH = re.compile(r"[0-9a-f]{8,64}")

FIXED_SIZE = "fixed-size"
"""A tag of models that are built for images of ``input.size_px``."""
NO_EXPORT = "no-export"
"""A tag of models that ``torch.export`` cannot trace."""
TAKES_PROPOSALS = "takes-proposals"
"""A tag of detectors that look at the proposals that come with their images."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a model's images are, and how an evaluation image is made.

    Attributes:
        channels: of the image; 1 grey, 3 RGB, 4 RGBA.
        size_px: height and width that the model is trained and evaluated at.
        resize_px: length of the shorter side before the centre crop; None: resize to size_px.
        mean, std: per channel, on a scale where white is 1.
        interpolation: "bilinear" or "bicubic", always antialiased.
    """

    channels: int = 3
    size_px: int = 224
    resize_px: int | None = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not (len(self.mean) == len(self.std) == self.channels):
            raise ValueError(f"mean and std need {self.channels} numbers, one for each channel")

    def at(self, *, size_px: int | None = None, channels: int | None = None) -> InputSpec:
        """The same input at another size (the resize keeps its ratio) or number of channels.

        Mean and std of other channels are the averages of the card's.
        """
        size_px = self.size_px if size_px is None else size_px
        channels = self.channels if channels is None else channels
        resize_px = self.resize_px and round(self.resize_px * size_px / self.size_px)
        spec = replace(self, size_px=size_px, resize_px=resize_px)
        if channels == self.channels:
            return spec
        return replace(
            spec,
            channels=channels,
            mean=(sum(self.mean) / self.channels,) * channels,
            std=(sum(self.std) / self.channels,) * channels,
        )


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """Published weights of one model.

    Attributes:
        name: as in ``--weights NAME``.
        url: where the publisher serves the file.
        sha256: the published hash, or the prefix (at least 8 hex digits) that is published; ""
            where none is: what the first download brings is noted, and checked from then on.
        preprocess: the evaluation preprocessing the accuracy was measured with.
        classes: resource with one class name a line, ``"package:file.txt"``; "" where the weights
            have no classifier, or one whose classes nobody names.
        metrics: as published, fractions of 1 (``{"top1": 0.76130}``).
        options: of the model, without which it is not the one that had these weights.
    """

    name: str
    url: str
    sha256: str = ""
    preprocess: InputSpec
    classes: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    license: str = ""
    provenance: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.sha256 and not _HASH.fullmatch(self.sha256):
            raise ValueError(f"sha256 of {self.name}: 8 to 64 lower-case hex digits are needed")


@dataclass(frozen=True)
class Card:
    """What every card has.

    Attributes:
        name: unique within its plugin; lower case, digits, ``.``, ``_`` and ``-``.
        summary: one line for ``zoo list``.
        factory: ``"module:function"``, imported when the thing is built.
        options: bound when the factory is called.
    """

    _: KW_ONLY
    name: str
    summary: str
    factory: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_types(self)
        check_name(self.name)
        if not _FACTORY.fullmatch(self.factory):
            raise ValueError(f"factory of {self.name}: {self.factory!r} is not 'module:function'")


@dataclass(frozen=True)
class ModelCard(Card):
    """A model.  ``factory(*, num_classes, in_channels=3, **options) -> nn.Module``.

    Attributes:
        task: name of the task that trains it.
        num_params: parameters with the card's own number of classes and channels.
        gmacs: multiply-adds of convolutions and linear layers at ``input.size_px``, in 10^9.
        num_classes: that the two numbers above are for.
        backbone_option: the option that names a backbone of the registry;
            ``model.backbone_weights`` are for it.
        backbone_part: the submodule that this becomes; default: the one of the option's name.
        recipe: used where the user names none; default: the task's.
        paper: "He 2015, arXiv:1512.03385".
        tags: words to find it by; ``FIXED_SIZE`` says that it takes images of one size alone.
    """

    _: KW_ONLY
    task: str
    num_params: int
    gmacs: float
    num_classes: int = 1000
    input: InputSpec = field(default_factory=InputSpec)
    backbone_option: str = ""
    backbone_part: str = ""
    weights: tuple[WeightsCard, ...] = ()
    recipe: str = ""
    paper: str = ""
    license: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetCard(Card):
    """A data set by name.  ``factory(*, root, download, **options) -> Mapping[str, Dataset]``.

    ``root`` is its own folder: PATH of ``--data NAME:PATH``, else one in the cache, which need
    not exist.  ``download`` says that what is missing may be fetched into it.  A factory that has
    no use for one of them leaves it out of its signature.

    Attributes:
        classes: their number; 0 where the targets are no classes.
        download: whether its files come from the network (asked for with ``--download``).
        settings: what a run on these data needs unless the user says otherwise, as a part of
            the run's config (``{"transforms": {"flip": 0.0}}``: a mirrored 2 is no 2).
    """

    _: KW_ONLY
    task: str
    classes: int = 0
    license: str = ""
    source: str = ""
    download: bool = False
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskCard(Card):
    """A task.  ``factory(*, classes, **options) -> Task``.

    Attributes:
        default_dataset: what a run takes that names no data; it needs no download.
        recipe: trains a model of this task whose card names none; "" is the config's defaults.
    """

    _: KW_ONLY
    default_dataset: str
    recipe: str = ""


@dataclass(frozen=True)
class MetricCard(Card):
    """A metric.  ``factory(*, classes, **options) -> Metric``; ``keys`` are what it computes."""

    _: KW_ONLY
    task: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecipeCard(Card):
    """A recipe.  ``factory(**options) -> Mapping``: a part of the run's config, by section.

    Attributes:
        source: paper or script that it copies in every ingredient; empty for one of ours.
    """

    _: KW_ONLY
    task: str
    source: str = ""


@dataclass(frozen=True)
class CallbackCard(Card):
    """A callback of the trainer.  ``factory(**options) -> Callback``."""


@dataclass(frozen=True)
class ProposerCard(Card):
    """What says where on an image objects could be.  ``factory(**options) -> Proposer``.

    A proposer is called with an image, (h, w, 3) uint8 RGB, and returns boxes (p, 4) float32, x1 y1
    x2 y2 in px of the image, and scores (p,), the likeliest highest.  It gives the same for the
    same image, whatever else it has seen.
    """


@dataclass(frozen=True)
class CommandSpec(Card):
    """A verb of the command line.  ``factory`` names a ``click.Command``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CardTable(Sequence[Card]):
    """The cards of very many things, each made when it is asked for.

    A plugin that is a bridge to another library returns one from its hook instead of a list of
    cards.  It is read from a shipped file, so that listing never imports the library.

    Attributes:
        library: the distribution whose things these are, as pip calls it.
        version: of the library, that the table was made for.
        install: what ``pip install`` takes to have the library with the plugin.
        rows: what the table says of each name.
        build: makes the card of a name from its row.
    """

    library: str
    version: str
    install: str
    rows: Mapping[str, Any]
    build: Callable[[str, Any], Card]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Card: ...
    @overload
    def __getitem__(self, index: slice) -> list[Card]: ...
    def __getitem__(self, index: int | slice) -> Card | list[Card]:
        names = list(self.rows)[index]
        return self.card(names) if isinstance(names, str) else [self.card(name) for name in names]

    def __iter__(self) -> Iterator[Card]:
        return map(self.card, self.rows)

    def card(self, name: str) -> Card:
        """The card of one name."""
        return self.build(name, self.rows[name])

    def note(self) -> str:
        """What to know where another version of the library is installed, or none; else ""."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            installed = version(self.library)
        except PackageNotFoundError:
            return f"{self.library} is not installed: pip install '{self.install}'"
        if installed.partition("+")[0] == self.version:
            return ""
        return f"table made for {self.library} {self.version}; {installed} is installed"


@cache
def read_card_table(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A shipped table for a ``CardTable``.

    Its first line is JSON, of what the rows share.  Each other line is a name, a tab, and JSON.

    Returns:
        What the rows share, and each row by name, as the text that it is: few are ever read.
    """
    shared, *lines = path.read_text(encoding="utf-8").splitlines()
    return json.loads(shared), dict(line.split("\t", 1) for line in lines)


@cache
def _types_of(card_class: type[Card]) -> list[tuple[str, Any, Any]]:
    """Name, type and type of the items of each field, from its annotation."""
    known = {
        "str": str,
        "int": int,
        "float": (int, float),
        "bool": bool,
        "tuple": tuple,
        "Mapping": Mapping,
        "InputSpec": InputSpec,
        "WeightsCard": WeightsCard,
    }
    found = []
    for item in fields(card_class):
        outer, _, inner = str(item.type).partition("[")
        items = known.get(inner.partition(",")[0]) if outer == "tuple" else None
        if outer in known:  # a subclass of a plugin may have fields of other types
            found.append((item.name, known[outer], items))
    return found


def _check_types(card: Card) -> None:
    """Refuse a card with a value of another type: it would end each command that shows it.

    Raises:
        TypeError: naming the field.
    """
    card_class: Any = type(card)  # mypy takes a class for unhashable
    for name, wanted, items in _types_of(card_class):
        value = getattr(card, name)
        if not isinstance(value, wanted) or (
            items and not all(isinstance(i, items) for i in value)
        ):
            kind = getattr(wanted, "__name__", "float")
            of = f" of {items.__name__}" if items else ""
            raise TypeError(f"{name} of card {card.name!r} is {value!r}, not {kind}{of}")


def check_name(name: str) -> None:
    """Refuse a name that the command line could not take.

    Raises:
        ValueError: it has other than lower-case letters, digits, '.', '_' and '-'.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a name: lower-case letters, digits, '.', '_' and '-', at most 100"
        )
