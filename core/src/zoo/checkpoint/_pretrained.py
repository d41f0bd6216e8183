"""Published and foreign weights: fetched once, verified on every load, never unpickled here.

The cache holds, for each set of weights, a safetensors file and a record of its hash:

    <cache>/weights/resnet34-b627a593-<key>.safetensors
    <cache>/weights/resnet34-b627a593-<key>.json        what was fetched, and both SHA-256

A file that the user downloaded by hand is taken from ``<cache>/weights/<its name>``, or, where no
hash is published, from ``<cache>/weights/<key>-<its name>``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zoo.cache import cache_folder
from zoo.cards import ModelCard, WeightsCard
from zoo.checkpoint._download import UnreachableError, download
from zoo.checkpoint._state import load_best
from zoo.errors import UnknownNameError, WeightsError
from zoo.runs import (
    dump_json,
    parse_json,
    printable,
    storage_errors,
    temporary_name,
    write_atomically,
)

SAFE = ".safetensors"
PICKLED = (".pth", ".pt", ".bin", ".tar")
_CONVERTER = Path(__file__).with_name("_convert.py")
_LIMIT_S = 900


def resolve_weights(card: ModelCard, name_or_file: str) -> WeightsCard | Path:
    """What ``--weights`` names: a published set of the model, a file, or a run's best weights.

    Raises:
        UnknownNameError: neither a published set nor a file or run that exists.
    """
    published = {weights.name: weights for weights in card.weights}
    if name_or_file in published:
        return published[name_or_file]
    path = Path(name_or_file).expanduser()
    if path.is_file():
        return path
    if (path / "best").is_dir():
        return path / "best"
    if (path / "manifest.json").is_file():
        return path
    names = ", ".join(published) or "none"
    raise UnknownNameError(
        f"weights of {card.name}",
        name_or_file,
        published,
        f"Published: {names}; or give a .safetensors or .pth file, or a run.",
    )


def class_names(card: WeightsCard) -> tuple[str, ...]:
    """The classes of published weights, in the order of the logits."""
    package, _, file = card.classes.partition(":")
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return tuple(text.splitlines())


def fetch_weights(card: WeightsCard, *, message: Callable[[str], None] | None = None) -> Path:
    """The published weights as a verified safetensors file in the cache.

    The first call downloads; every call checks the full SHA-256 that was noted then.

    Args:
        card: says where they are and which hash is published.
        message: told what is downloaded; default: nobody.

    Raises:
        WeightsError: no network (says what to fetch and where to put it), a hash that differs (what
            was wrong is deleted), or a file that holds more than tensors.
        StorageError: the cache cannot be written.
    """
    name = unquote(PurePosixPath(urlsplit(card.url).path).name)
    key = hashlib.sha256(f"{card.url} {card.sha256}".encode()).hexdigest()[:12]
    stored = weights_cache() / f"{Path(name).stem}-{key}.safetensors"
    if _is_stored(stored):
        return stored
    # Without a hash nothing but its name says whose a file is: many are called model.safetensors.
    by_hand = weights_cache() / (name if card.sha256 else f"{key}-{name}")
    if by_hand.is_file():
        _check_hash(by_hand, _sha256(by_hand), card.sha256, f"Delete or replace {by_hand}.")
        return _store(by_hand, stored)
    return _download_and_store(card, by_hand, stored, message or (lambda _: None))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Args:
        path: ``.safetensors``; what ``torch.save`` wrote (``.pth``, ``.pt``), which is
            converted once, in a process of its own, and kept in the cache; or a run's ``best/``.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or holds more than tensors.
    """
    if path.is_dir():
        return dict(load_best(path).tensors)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}")
    if path.suffix in PICKLED:
        path = _converted(path)
    elif path.suffix != SAFE:
        raise WeightsError(
            f"{path} is no weights file by its name", f"Known: {SAFE}, {', '.join(PICKLED)}."
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error
    return tensors


def weights_cache() -> Path:
    """Where downloaded weights lie: ``weights`` in the cache."""
    return cache_folder() / "weights"


def _download_and_store(
    card: WeightsCard, by_hand: Path, stored: Path, message: Callable[[str], None]
) -> Path:
    with storage_errors(stored):
        stored.parent.mkdir(parents=True, exist_ok=True)
    # The suffix says what it is to whoever converts it.
    fetched = temporary_name(by_hand).with_suffix(by_hand.suffix)
    try:
        written = download(card.url, fetched, message=message)
        _check_hash(fetched, written.sha256, card.sha256, "It was deleted; nothing of it was read.")
        if not card.sha256:
            message(f"no SHA-256 of it is published; {written.sha256[:16]}... is noted and checked")
        return _store(fetched, stored)
    except UnreachableError as error:
        known = f"; its SHA-256 begins with {card.sha256}" if card.sha256 else ""
        raise WeightsError(
            error.cause,
            f"Without network, fetch {card.url} elsewhere and put it at {by_hand}{known}.",
        ) from error
    finally:
        fetched.unlink(missing_ok=True)


def _converted(path: Path) -> Path:
    """The safetensors twin of a user's pickled file."""
    stored = weights_cache() / f"{path.stem[:60]}-{_sha256(path)}{SAFE}"
    return stored if _is_stored(stored) else _store(path, stored)


def _is_stored(stored: Path) -> bool:
    """Whether the cache holds this file, unaltered.

    Raises:
        WeightsError: it holds another, which is deleted.
    """
    record = stored.with_suffix(".json")
    if not (stored.is_file() and record.is_file()):
        return False
    try:
        noted = parse_json(record.read_bytes())
        intact = noted["sha256"] == _sha256(stored)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        stored.unlink()
        record.unlink()
        raise WeightsError(
            f"{stored} is not what was stored there: its SHA-256 differs",
            "It was deleted, and nothing of it was read; run the command again to fetch it anew.",
        )
    return True


def _store(source: Path, stored: Path) -> Path:
    """Put a file into the cache as safetensors, with a record of what it was and is."""
    temporary = temporary_name(stored)
    with storage_errors(stored, needed_bytes=source.stat().st_size):
        stored.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.suffix == SAFE:
                shutil.copyfile(source, temporary)
            else:
                _convert_apart(source, temporary)
            noted = {"sha256": _sha256(temporary), "source": source.name}
            noted["source_sha256"] = _sha256(source)
            temporary.replace(stored)
        finally:
            temporary.unlink(missing_ok=True)
    # Written last: without its record, a file in the cache does not count.
    write_atomically(stored.with_suffix(".json"), dump_json(noted))
    return stored


def _convert_apart(source: Path, target: Path) -> None:
    """Run the converter in a process of its own, with nothing that could loosen torch's rules."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TORCH_")}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-P", str(_CONVERTER), str(source.absolute()), str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own script; the arguments are paths
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"{source} took more than {_LIMIT_S} s to convert") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise WeightsError(
            f"{source.name} is refused: {printable(said[-1]) if said else 'the converter died'}",
            "Only files with nothing but tensors are read; save model.state_dict() anew.",
        )


def _check_hash(path: Path, found: str, published: str, cure: str) -> None:
    if not found.startswith(published):
        raise WeightsError(
            f"{path.name}: its SHA-256 is {found[:16]}..., published is {published}", cure
        )


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
