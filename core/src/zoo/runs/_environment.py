"""What a run ran on: the facts that explain its numbers, and no secrets."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo.cores import usable_cores

_DISTRIBUTIONS = (
    "zoo-core", "torch", "torchvision", "numpy", "pillow", "simplejpeg", "safetensors", "pydantic",
    "timm",
)  # fmt: skip
_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "RANK",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "WORLD_SIZE",
)
"""The only environment variables that are kept: what changes numbers and holds no secret."""

_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_OPTION = re.compile(r"(?i)((?:token|password|secret|api[_-]?key)[^=\s]*=)\S+")


def describe_environment(
    *, plugins: Mapping[str, str] | None = None, command: Sequence[str] | None = None, **facts: Any
) -> dict[str, Any]:
    """The content of ``environment.json``; torch is not imported.

    Args:
        plugins: version by distribution of the plugins that are loaded.
        command: the words of the command line; default: those of this process.
        facts: what the caller knows beside it (device, precision, threads that torch uses).
    """
    return {
        "command": without_secrets(shlex.join(sys.argv if command is None else command)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "cores": os.cpu_count(), "usable": usable_cores()},
        "versions": {name: _version(name) for name in _DISTRIBUTIONS if _version(name)},
        "plugins": dict(plugins or {}),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        **facts,
    }


def without_secrets(text: str) -> str:
    """A text without users and passwords in its URLs, and without values of secret options."""
    return _SECRET_OPTION.sub(r"\1***", _USER_IN_URL.sub("***@", text))


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
