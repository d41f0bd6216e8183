"""What this machine computes on, and at which precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from zoo.errors import ConfigError
from zoo.wording import counted

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes the GPU where there is one.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ConfigError: the name is none of these, or this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else _mps_or_cpu()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device {name!r}", "Use auto, cpu, cuda, cuda:N or mps.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name}: this machine has {torch.cuda.device_count()} CUDA devices",
            "Use --device auto or cpu; `zoo doctor` shows what torch sees.",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device mps: this machine has none", "Use --device auto or cpu.")
    return device


def check_processes(count: int, device: torch.device) -> None:
    """Refuse more processes than this machine has GPUs for, or cores where it computes on those.

    Raises:
        ConfigError: there are fewer.
    """
    on_gpus = device.type == "cuda"
    there_are = torch.cuda.device_count() if on_gpus else (os.cpu_count() or 1)
    if count > there_are:
        what = "GPUs" if on_gpus else "CPU cores and no GPU in use"
        raise ConfigError(
            f"--gpus {count}: this machine has {there_are} {what}", f"Use --gpus 1 to {there_are}."
        )


def choose_precision(name: str, device: torch.device) -> str:
    """The compute precision of that name; "auto" takes bf16 where the hardware has it.

    Returns:
        "fp32", "bf16" or "fp16".
    """
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise ConfigError(f"unknown precision {name!r}", "Use auto, fp32, bf16 or fp16.")
    return name


def has_fast_bf16(device: torch.device) -> bool:
    """Whether matrix products in bf16 are done by the hardware, not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_cpu_features() & {"avx512_bf16", "amx_bf16"})


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Run convolutions and matrix products in a lower precision; a no-op for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


def describe_device(device: torch.device) -> str:
    """The device as people know it: "cuda:0 (NVIDIA H100)", "cpu (8 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({counted(torch.get_num_threads(), 'thread')})"
    return str(device)


def _mps_or_cpu() -> str:
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_features() -> set[str]:
    """Features of the CPU, from torch where it can say, else from the Linux kernel."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, present in torch.cpu.get_capabilities().items() if present is True}
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    flags = (line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    return set(next(flags, "").split())
