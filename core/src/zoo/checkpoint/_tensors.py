"""Tensors as a safetensors file: written as a stream, read by the safetensors library.

The library's own writer keeps a second copy in memory, refuses tied weights, does not flush to the
disk and leaves files that only their owner can read; so the (simple) writing is done here.
Format: 8 bytes little-endian length, a JSON header ``{name: {dtype, shape, data_offsets}}`` padded
with spaces, then the tensors' bytes, row-major, one after the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import CheckpointError

_CHUNK_BYTES = 8 << 20
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What a manifest says of a tensor: its dtype in safetensors' words and its global shape."""

    dtype: str
    shape: tuple[int, ...]


def describe_tensors(tensors: Mapping[str, Tensor]) -> dict[str, TensorFacts]:
    """Dtype and shape of each tensor, in the order in which they are written.

    Wide elements come first, so that each tensor starts at a multiple of its element's size.

    Raises:
        TypeError: a name or a dtype that safetensors cannot hold.
    """
    for name, tensor in tensors.items():
        if name == "__metadata__" or tensor.dtype not in _DTYPES:
            raise TypeError(f"tensor {name!r} of {tensor.dtype} cannot be kept in safetensors")
    ordered = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    return {
        name: TensorFacts(_DTYPES[tensors[name].dtype], tuple(tensors[name].shape))
        for name in ordered
    }


def count_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Size of the tensors in the file, without the header."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def safetensors_chunks(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The file in pieces of a few megabytes; tensors on a device are copied one at a time."""
    header = {}
    offset = 0
    for name, facts in describe_tensors(tensors).items():
        end = offset + tensors[name].numel() * tensors[name].element_size()
        shape = list(facts.shape)
        header[name] = {"dtype": facts.dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in header:
        content = _content(tensors[name])
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES]


def read_tensors(path: Path, expected: Mapping[str, TensorFacts]) -> dict[str, Tensor]:
    """All tensors of a file whose header says what the manifest says.

    Raises:
        CheckpointError: the header is no honest one, or names other tensors, shapes or dtypes.
    """
    try:
        with safe_open(path, framework="pt") as file:
            _check_header(file, expected, path)
            return {name: file.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _check_header(file: Any, expected: Mapping[str, TensorFacts], path: Path) -> None:
    if set(file.keys()) != set(expected):
        raise CheckpointError(f"{path} is damaged: it holds other tensors than its manifest names")
    for name, facts in expected.items():
        part = file.get_slice(name)
        found = TensorFacts(part.get_dtype(), tuple(part.get_shape()))
        if found != facts:
            raise CheckpointError(f"{path} is damaged: {name} is {found}, not {facts}")


def _content(tensor: Tensor) -> memoryview:
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().data
