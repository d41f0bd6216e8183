"""``zoo doctor``: what this machine and installation are, and what is wrong with them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from zoo.cli._options import json_option
from zoo.cli._output import print_answer, print_json
from zoo.cores import usable_cores
from zoo.plugins import Plugin, in_a_line
from zoo.registry import default_registry
from zoo.wording import counted

LEAST_SHARED_BYTES = 256 * 2**20
"""Loader processes hand batches over in shared memory; containers often have 64 MiB of it."""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        fault: why it will not do; empty where it is in order.
        cure: what to do about it.
    """

    name: str
    value: str
    fault: str = ""
    cure: str = ""


@click.command()
@json_option
def doctor(json_: bool) -> int:
    """Show versions, hardware and plugins, and what is wrong with them.

    Exits with 1 where something is wrong.
    """
    plugins = default_registry().plugins  # first: they are to load without torch
    checks = [*_software(), *_hardware(), *_storage(), *_plugins(plugins)]
    faults = [check for check in checks if check.fault]
    if json_:
        print_json({"healthy": not faults, "checks": checks})
        return bool(faults)
    width = max(len(check.name) for check in checks)
    for check in checks:
        print_answer(f"{check.name:<{width}}  {check.value}")
    for check in faults:
        print_answer(f"\nFault in {check.name}: {check.fault}")
        print_answer(check.cure)
    print_answer("" if faults else "\nNo fault found.")
    return bool(faults)


def _software() -> Iterator[Check]:
    yield Check("python", f"{platform.python_version()} ({sys.executable})")
    yield Check("system", platform.platform())
    for distribution in ("zoo-core", "vision-zoo"):
        try:
            yield Check(distribution, version(distribution))
        except PackageNotFoundError:
            yield Check(distribution, "not installed")
    for module in ("torch", "torchvision"):
        yield _importable(module)


def _importable(module: str) -> Check:
    """Whether a compiled package works here; torchvision fits only the torch it was built for."""
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        cure = "Install torch and torchvision together: pip install --upgrade torch torchvision"
        return Check(module, "cannot be imported", in_a_line(error), cure)
    return Check(module, version(module))


def _hardware() -> Iterator[Check]:
    yield Check("cores", f"{usable_cores()} of {os.cpu_count()}")
    yield Check("memory", _gib(_memory_bytes()))
    try:
        import torch

        from zoo.devices import choose_device, choose_precision, cuda_fault, describe_device
    except Exception:  # noqa: BLE001 - told by the check of torch itself
        return
    device = choose_device("auto")
    yield Check("device", describe_device(device))
    yield Check("precision", f"{choose_precision('auto', device)} on {device}, fp32 everywhere")
    fault = cuda_fault()
    yield _cuda(torch.version.cuda, 0 if fault else torch.cuda.device_count(), fault)


def _cuda(built_for: str | None, devices: int, fault: str) -> Check:
    """Whether torch can use the GPUs that the driver shows."""
    driver = shutil.which("nvidia-smi") is not None
    target = f"CUDA {built_for}" if built_for else "CPU"
    value = f"{counted(devices, 'device')}, torch is built for {target}"
    if devices or not driver:
        return Check("CUDA", value)
    return Check(
        "CUDA",
        value,
        f"there is an NVIDIA driver, but torch uses no GPU: {fault}",
        "Compare `nvidia-smi` with torch's CUDA version: a newer driver or an older torch helps.",
    )


def _storage() -> Iterator[Check]:
    from zoo.cache import VARIABLE, cache_folder

    yield _writable("cache folder", cache_folder(), VARIABLE)
    shared = Path("/dev/shm")  # noqa: S108 - its size is read, nothing is written
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        fault = "too little for loader processes" if size < LEAST_SHARED_BYTES else ""
        cure = "Start the container with --shm-size=1g, or train with --workers 0."
        yield Check("shared memory", _gib(size), fault, cure if fault else "")


def _writable(name: str, folder: Path, variable: str) -> Check:
    """Whether files can be made in a folder, or in the nearest that exists above it."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = _gib(shutil.disk_usage(place).free)
    except OSError as error:
        return Check(
            name,
            str(folder),
            f"{place}: {error.strerror}",
            f"Set {variable} to a folder that you may write to.",
        )
    return Check(name, f"{folder} ({free} free)")


def _plugins(plugins: Iterable[Plugin]) -> Iterator[Check]:
    for plugin in plugins:
        value = f"{plugin.distribution} {plugin.version}, {plugin.state}".lstrip(" ,")
        fault, cure = "", ""
        if plugin.state == "failed":
            fault, cure = plugin.reason, plugin.cure
        elif plugin.heavy:
            fault = f"it imports {', '.join(plugin.heavy)} to be listed, which slows every command"
            cure = f"Tell the authors of {plugin.distribution}: cards need no import of a model."
        elif plugin.doubled:
            fault = plugin.doubled
            cure = (
                f"pip uninstall {plugin.distribution}, until none is left; then install it again."
            )
        elif plugin.meddling:
            fault = f"it {plugin.meddling}"
            cure = f"Tell the authors of {plugin.distribution}."
        yield Check(f"plugin {plugin.name}", value, fault, cure)


def _memory_bytes() -> int:
    """Memory that this process may use: the machine's, or what its container leaves of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return total if text == "max" else min(total, int(text))


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
