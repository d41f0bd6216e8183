"""The formats of exported files: each turns a traced program into bytes, and runs such bytes.

Nothing here reads a file of others: what is run has just been made.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.exporting._graph import INPUT, quiet
from zoo.extras import import_extra
from zoo.runs import check_new_file, format_bytes

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Graph = Callable[[Tensor], Tensor]
"""Runs a file: images (b, c, h, w) uint8 to answers (b, ...)."""

ABOUT, ABOUT_FILE = "zoo", "zoo.json"
"""Where ONNX's metadata and pt2's extra files hold what is known of the model."""
_ONNX_LIMIT_BYTES = 2_000_000_000
"""Of one file: protobuf ends at 2 GiB, and what is more would be a second file beside it."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        title: as people write it.
        suffix: of its files.
        check: sees that what it needs is installed, and that a model of so many bytes fits.
        write: a program, the name of its output and what is known of it, as the bytes of a file.
        read: what runs such bytes.
    """

    title: str
    suffix: str
    check: Callable[[int], None]
    write: Callable[[ExportedProgram, str, Mapping[str, Any]], bytes]
    read: Callable[[bytes], Graph]


def check_output(path: Path, format_: str | None) -> Format:
    """The format of a file, seen to be possible before work is spent on it.

    Args:
        path: of the file.
        format_: its format's name; None: by the suffix.

    Raises:
        UsageError: no such format, a file is there, no such folder, or a library is missing.
    """
    chosen = FORMATS[_name_format(path, format_)]
    check_new_file(path)
    chosen.check(0)
    return chosen


def _name_format(path: Path, format_: str | None) -> str:
    by_suffix = {each.suffix: name for name, each in FORMATS.items()}
    by_name = by_suffix.get(path.suffix.lower())
    chosen = format_ or by_name
    if chosen is None:
        raise UsageError(
            f"{path}: by its name nobody knows its format",
            f"Give --format {' or '.join(FORMATS)}, or name it {' or '.join(by_suffix)}.",
        )
    if chosen not in FORMATS:
        raise UsageError(f"unknown format {chosen!r}", f"Use {' or '.join(FORMATS)}.")
    if by_name not in (None, chosen):
        raise UsageError(
            f"{path} is named as {by_name}, and --format is {chosen}",
            f"For example {path.with_suffix(FORMATS[chosen].suffix)}.",
        )
    return chosen


# --- ONNX --------------------------------------------------------------------------------------


def _check_onnx(size_bytes: int) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(module, library=module, purpose="ONNX", install="zoo-core[onnx]")
    if size_bytes > _ONNX_LIMIT_BYTES:
        raise UsageError(
            f"a model of {format_bytes(size_bytes)} is more than one ONNX file can hold (2 GB)",
            "Use --format pt2.",
        )


def _write_onnx(program: ExportedProgram, output: str, about: Mapping[str, Any]) -> bytes:
    with quiet():
        converted = torch.onnx.export(
            program,
            (),
            input_names=[INPUT],
            output_names=[output],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    proto: Any = converted.model_proto  # type: ignore[union-attr]
    _tidy(proto)
    entry = proto.metadata_props.add()
    entry.key, entry.value = ABOUT, json.dumps(about, ensure_ascii=False)
    content: bytes = proto.SerializeToString()
    return content


def _tidy(proto: Any) -> None:
    """Leave out where each node comes from in the Python code, and name the dimensions.

    The sizes of what lies between input and output go with that: they are in torch's names, and
    whoever wants them infers them.
    """
    graph = proto.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    del graph.metadata_props[:], graph.value_info[:]
    images = graph.input[0].type.tensor_type.shape.dim
    names = {
        dim.dim_param: name
        for dim, name in zip(images, ("batch", "channels", "height", "width"), strict=True)
        if dim.dim_param
    }
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]


def _read_onnx(content: bytes) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])


# --- pt2 ---------------------------------------------------------------------------------------


def _write_pt2(program: ExportedProgram, _output: str, about: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    program.example_inputs = None  # pickled, and of no use to anybody
    with quiet():
        torch.export.save(
            program, buffer, extra_files={ABOUT_FILE: json.dumps(about, ensure_ascii=False)}
        )
    return buffer.getvalue()


def _read_pt2(content: bytes) -> Graph:
    with quiet():
        graph: Graph = torch.export.load(io.BytesIO(content)).module()
    return graph


FORMATS: Mapping[str, Format] = {
    "onnx": Format("ONNX", ".onnx", _check_onnx, _write_onnx, _read_onnx),
    "pt2": Format("pt2 (torch.export)", ".pt2", lambda _: None, _write_pt2, _read_pt2),
}
"""By the word of ``--format``."""
