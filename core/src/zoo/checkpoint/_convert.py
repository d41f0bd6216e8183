"""Turn a ``.pth`` file into a safetensors file: a script for a process of its own.

    python _convert.py SOURCE.pth TARGET.safetensors

Reading a pickle is the one thing in zoo that could run a stranger's code.  torch's restricted
unpickler (``weights_only=True``, given explicitly, since an environment variable changes the
default) refuses all but tensors and containers; should it ever fail, it fails in a process that is
limited in memory and time and holds nothing of ours.  The script imports nothing of zoo.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

REFUSED = 3
"""Exit code: the file is not what it should be; the reason is on stderr."""
CPU_LIMIT_S = 600
SPARE_BYTES = 1 << 30
NESTED_IN = ("state_dict", "model_state_dict", "model")
WRAPPERS = ("module.", "_orig_mod.")


class RefusedError(Exception):
    """The file is refused, for the reason given."""


def convert(source: Path, target: Path) -> None:
    """Write the tensors of a state dict, without whatever else the file holds.

    A state dict nested in a training checkpoint is found under its usual names, and the prefix
    that DDP or ``torch.compile`` puts before every key is taken off.

    Args:
        source: written by ``torch.save``.
        target: is created or replaced.

    Raises:
        RefusedError: the file holds something else than tensors in plain containers.
    """
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds
        reason = str(error).strip().splitlines()
        raise RefusedError(reason[0] if reason else type(error).__name__) from error
    tensors = {name: _checked(name, tensor) for name, tensor in find_state_dict(content).items()}
    save_file(tensors, target)


def find_state_dict(content: Any) -> dict[str, Tensor]:
    """The tensors by name in what ``torch.load`` gave."""
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in NESTED_IN if key in content]
    for candidate in candidates:
        if isinstance(candidate, Mapping):
            found = {k: v for k, v in candidate.items() if isinstance(v, Tensor)}
            if found and all(isinstance(name, str) for name in found):
                return _without_wrapper(found)
    raise RefusedError("it holds no tensors by name")


def _without_wrapper(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _checked(name: str, tensor: Tensor) -> Tensor:
    """The tensor with memory of its own; one that claims more than its storage is a bomb."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise RefusedError(f"{name} is no plain tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise RefusedError(f"{name} claims more elements than the file holds")
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _limit(source: Path) -> None:
    """Bound the time and memory of this process."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    statm = Path("/proc/self/statm")
    if statm.exists():
        mapped_bytes = int(statm.read_text().split()[0]) * resource.getpagesize()
        allowed = mapped_bytes + 4 * source.stat().st_size + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def main() -> int:
    """Convert as the command line says."""
    source, target = (Path(argument) for argument in sys.argv[1:])
    _limit(source)
    try:
        convert(source, target)
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
