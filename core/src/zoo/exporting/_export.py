"""From a model to a file: trace, convert, compare, and only then write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ExportError, UsageError, ZooError
from zoo.exporting._description import describe
from zoo.exporting._graph import trace_deployed
from zoo.exporting._parity import Parity, answer_examples, measure_parity
from zoo.runs import storage_errors, sync_folder, temporary_name, write_new_file

if TYPE_CHECKING:
    from zoo.exporting._formats import Format
    from zoo.exporting._shape import InputShape
    from zoo.inference import ModelRecord, Predictor
    from zoo.structures import Sample

_PIECE_BYTES = 1 << 24
_LONGEST_REASON = 300
_HARDLY = 1e-2
"""Of the largest answer: less between the answers for two images is none to speak of."""


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file that answers as its model does.

    Attributes:
        path: of the file.
        format: "ONNX" or "pt2 (torch.export)".
        size_bytes, sha256: of the file.
        record: of the weights.
        shape: of the images that the graph takes.
        answer_shape: of the answer for one image.
        about: what the file says of itself.
        parity: how it was compared with the model.
    """

    path: Path
    format: str
    size_bytes: int
    sha256: str
    record: ModelRecord
    shape: InputShape
    answer_shape: tuple[int, ...]
    about: Mapping[str, Any]
    parity: Parity


def export_model(
    predictor: Predictor,
    path: Path,
    format_: Format,
    shape: InputShape,
    *,
    samples: Sequence[Sample],
    message: Callable[[str], None],
) -> ExportedFile:
    """Write a model's graph, once its answers equal the model's.

    Args:
        predictor: on the CPU in float32.
        path: of the file, which does not exist.
        format_: of the file.
        shape: of the images that the graph takes.
        samples: real images to compare with, as they are read.
        message: told what is being done, since that takes a while.

    Raises:
        ExportError: torch cannot trace or convert the model, or the graph answers otherwise.
        StorageError: the disk is full, read-only or failing.
        UsageError: the task has no answer that a graph can give, the model is too large for the
            format, or a file of that name has come by now.
    """
    model, task, record = predictor.model, predictor.task, predictor.record
    format_.check(sum(t.numel() * t.element_size() for t in model.state_dict().values()))
    about = describe(record, predictor.transforms, shape, task.deployed_output)
    with _blamed(record, "run"):
        examples = answer_examples(model, task, predictor.transforms, shape, samples)
    message(f"tracing {record.model} for images of {shape}")
    with _blamed(record, "traced by torch.export"):
        program = trace_deployed(model, task, record.input, shape)
    message(f"converting to {format_.title}")
    with _blamed(record, f"converted to {format_.title}"):
        content = format_.write(program, task.deployed_output, about)
    del program
    message("comparing it with the model")
    with _blamed(record, f"run as {format_.title}"):
        graph = format_.read(content)
        parity = measure_parity(graph, examples, len(samples))
    if parity.spread < _HARDLY:
        message(
            f"{record.model} answers nearly alike for all images ({parity.spread:.1g} apart): that"
            " the file agrees says little.  Is it trained?"
        )
    return ExportedFile(
        path=path,
        format=format_.title,
        size_bytes=len(content),
        sha256=_publish(path, content),
        record=record,
        shape=shape,
        answer_shape=tuple(examples[0].answers.shape[1:]),
        about=about,
        parity=parity,
    )


@contextmanager
def _blamed(record: ModelRecord, verb: str) -> Iterator[None]:
    """Say in two lines what torch says in hundreds, and whose model it is.

    Raises:
        ExportError: in place of whatever the block raises.
    """
    try:
        yield
    except (ZooError, MemoryError, OSError):
        raise
    except Exception as error:
        raise ExportError(
            f"{record.model} cannot be {verb}: {_reason(error)}",
            f"Nothing was written. The model is {record.distribution} {record.version}'s;"
            " --debug shows where in its code.",
        ) from error


def _reason(error: BaseException) -> str:
    """The first line of what was wrong at first, and the place that torch names."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else ""
    places = [line for line in lines[1:] if line.startswith("Caused by:")]
    text = " ".join([f"{type(error).__name__}: {first}", *places[:1]])
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def _publish(path: Path, content: bytes) -> str:
    """Give the file its name when it is whole and on the disk; its SHA-256.

    Raises:
        StorageError: it cannot be written; nothing is left of it.
        UsageError: a file of that name has come meanwhile.
    """
    temporary = temporary_name(path)
    view = memoryview(content)
    pieces = (view[at : at + _PIECE_BYTES] for at in range(0, len(content), _PIECE_BYTES))
    with storage_errors(path, needed_bytes=len(content)):
        try:
            written = write_new_file(temporary, pieces)
            _take_name(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()
        sync_folder(path.parent)
    return written.sha256


def _take_name(temporary: Path, path: Path) -> None:
    """A rename that replaces nothing, also where two programs do it at once."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UsageError(
            f"{path} has been written by somebody else meanwhile", "Name another file."
        ) from None
    except OSError:  # a file system without links
        if path.exists():
            raise
        temporary.replace(path)
