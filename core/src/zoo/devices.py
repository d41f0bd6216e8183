"""What this machine computes on, and at which precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import ConfigError
from zoo.wording import counted

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes the GPU where there is one.

    A CUDA device with a number becomes torch's current one, on which it puts what it is not told
    a place for: page-locked memory, say.

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
    if device.type == "cuda":
        _check_cuda(device)
        if device.index is not None:
            torch.cuda.set_device(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device mps: this machine has none", "Use --device auto or cpu.")
    return device


def cuda_fault() -> str:
    """Why torch cannot use a CUDA device here, in its own words; empty where it can.

    The number of devices does not tell: the driver counts them also where it is too old for torch.
    """
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        said = str(error).strip().splitlines()[0]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return said if visible is None else f"{said} (CUDA_VISIBLE_DEVICES is {visible!r})"
    return ""


def check_processes(count: int, device: torch.device) -> None:
    """Refuse more processes than this machine has GPUs for, or cores where it computes on those.

    Raises:
        ConfigError: there are fewer, or the device is a single one.
    """
    on_gpus = device.type == "cuda"
    if count > 1 and on_gpus and device.index is not None:
        raise ConfigError(
            f"--gpus {count} with --device {device}, which is a single one",
            "Use --device cuda; CUDA_VISIBLE_DEVICES says which GPUs there are.",
        )
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
        with torch.cuda.device(device):  # torch asks the current one
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_cpu_features() & {"avx512_bf16", "amx_bf16"})


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Run convolutions and matrix products in a lower precision; a no-op for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


def send(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A small tensor of the host on a device.

    CUDA is not waited for: ordinary memory is copied aside before the call returns.  MPS would read
    it later, when it may be another's (https://github.com/pytorch/pytorch/issues/189690).
    """
    return tensor.to(device, dtype, non_blocking=device.type == "cuda")


def describe_device(device: torch.device) -> str:
    """The device as people know it: "cuda:0 (NVIDIA H100)", "cpu (8 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({counted(torch.get_num_threads(), 'thread')})"
    return str(device)


def _check_cuda(device: torch.device) -> None:
    cure = "Use --device auto or cpu; `zoo doctor` shows what torch sees."
    fault = cuda_fault()
    if fault:
        raise ConfigError(f"device {device}: {fault}", cure)
    there_are = torch.cuda.device_count()
    if (device.index or 0) >= there_are:
        there = counted(there_are, "CUDA device")
        raise ConfigError(f"device {device}: this machine has {there}", cure)


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
