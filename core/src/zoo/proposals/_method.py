"""What makes proposals: a proposer of the registry with its options, or the weights of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checkpoint import best_weights_sha256
from zoo.config import check_options
from zoo.errors import CheckpointError, ConfigError, DataError, RunFolderError, UnknownNameError
from zoo.runs import RunFolder

if TYPE_CHECKING:
    from zoo.registry import Registry

RPN = "rpn"
"""``rpn:RUN`` is the proposals of a run's model."""
_MOVED = (
    "Put it back, or say where it is: data.proposals=rpn:RUN in training, --proposals rpn:RUN"
    " afterwards."
)

_NO_FILE = "Make it: `zoo proposals build SOURCE --method NAME --output FILE`."


@dataclass(frozen=True, kw_only=True)
class Method:
    """What made some proposals; another one may make others.

    Attributes:
        name: full name of a proposer ("rcnn:grid"), or "rpn:" and the absolute path of a run.
        options: of the proposer, those that nobody set included.
        maker: its distribution and version; of a run the SHA-256 of its best weights.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    maker: str

    @property
    def run(self) -> Path | None:
        """The run whose model proposes."""
        kind, _, path = self.name.partition(":")
        return Path(path) if kind == RPN else None

    @property
    def title(self) -> str:
        """For people: "rcnn:grid", "rpn:runs/faster"."""
        return f"{RPN}:{self.run}" if self.run else self.name

    def key(self) -> str:
        """The same for methods that propose the same, wherever a run lies."""
        name = RPN if self.run else self.name
        return json.dumps([name, dict(self.options), self.maker], sort_keys=True)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Method:
        """What ``to_json`` gave.

        Raises:
            DataError: it is no such thing.
        """
        try:
            name, options, maker = values["name"], values["options"], values["maker"]
        except (KeyError, TypeError) as error:
            raise DataError(f"no method of proposals: {values!r}") from error
        return cls(name=str(name), options=dict(options), maker=str(maker))


def is_method(word: str, registry: Registry) -> bool:
    """Whether a word names a method; otherwise it is taken for a file.

    Raises:
        DataError: no method, and a path where no file is.
        UnknownNameError: neither a method nor a file.
    """
    if word.partition(":")[0] == RPN:
        return True
    try:
        registry.get("proposer", word)
    except UnknownNameError:
        if Path(word).expanduser().exists():
            return False
        if "/" in word or Path(word).suffix:
            raise DataError(f"there is no file {word}", _NO_FILE) from None
        raise
    return True


def resolve_method(word: str, options: Mapping[str, Any], registry: Registry) -> Method:
    """The method of a word: "grid", "rcnn:grid", "rpn:runs/faster".

    Raises:
        UnknownNameError: nobody has this proposer.
        ConfigError: an option that the proposer has not.
        RunFolderError: there is no such run, or it has no weights yet.
    """
    kind, _, path = word.partition(":")
    if kind == RPN:
        if options:
            raise ConfigError(
                f"{word} takes no option, and is given {', '.join(options)}",
                "A run proposes as it was trained.",
            )
        if not path:
            raise ConfigError("rpn: names no run", "Say rpn:RUN, as in rpn:runs/faster.")
        return _of_run(Path(path).expanduser().absolute())
    entry = registry.get("proposer", word)
    factory = registry.load(entry)
    bound = entry.card.options
    checked = check_options("data.proposals_options", factory, options, provided=bound)
    defaults = {
        name: parameter.default
        for name, parameter in signature(factory).parameters.items()
        if parameter.default is not Parameter.empty and name not in bound
    }
    # Tuples as the lists that they come back as from a file.
    chosen = json.loads(json.dumps({**defaults, **checked}))
    return Method(
        name=entry.full_name, options=chosen, maker=f"{entry.distribution} {entry.version}"
    )


def check_weights_of(method: Method) -> None:
    """See that a run that proposes still has the weights that it had.

    Raises:
        RunFolderError: it is not there, or has others.
    """
    if method.run and _of_run(method.run).maker != method.maker:
        raise RunFolderError(f"{method.run} has other weights than when it proposed", _MOVED)


def _of_run(run: Path) -> Method:
    try:
        weights = best_weights_sha256(RunFolder.open(run).best)
    except (RunFolderError, CheckpointError) as error:
        cause = f"the run that proposes cannot be used: {error.cause}"
        raise RunFolderError(cause, _MOVED) from error
    return Method(name=f"{RPN}:{run}", maker=f"weights {weights}")
