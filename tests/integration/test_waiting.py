"""No step waits for the device: what is counted stays there until a line is logged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from traceback import walk_stack
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import zoo
from zoo.structures import Batch
from zoo.training import Trainer

CONFIGS = {
    "classification": {"model": {"name": "resnet20"}},
    "segmentation": {"model": {"name": "unet_small"}, "training": {"batch_size": 4}},
    "detection": {
        "model": {"name": "faster_rcnn", "backbone": "resnet20"},
        "data": {"image_size": 64},
        "training": {"batch_size": 2},
    },
}
COPIES = {Tensor.to, Tensor.copy_, Tensor.cuda, torch.tensor, torch.as_tensor}
READINGS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default}
"""What ``item``, ``bool``, ``float``, ``int`` and ``torch.equal`` end in."""

Watch = Callable[[], AbstractContextManager[object]]


class EnoughError(Exception):
    """The steps that a test looks at are done."""


class Readings(TorchDispatchMode):
    """Counts how often the host reads a number out of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in READINGS
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Notes which functions of zoo copy from the host to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        places = {
            value.device for value in tree_leaves([args, result]) if isinstance(value, Tensor)
        }
        lists = func is Tensor.__getitem__ and any(isinstance(part, list) for part in args[1:])
        if (len(places) > 1 and func in COPIES) or func is Tensor.new_tensor or lists:
            self.functions.add(caller())
        return result


def caller() -> str:
    """The innermost function of zoo that is running."""
    modules = (frame.f_globals["__name__"] for frame, _ in walk_stack(None))
    names = (frame.f_code.co_qualname.split(".<locals>")[0] for frame, _ in walk_stack(None))
    return next(
        f"{module}.{name}"
        for module, name in zip(modules, names, strict=True)
        if module.startswith("zoo.")
    )


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever waits for the CUDA device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Two steps of a task's default run, the second one and what follows it watched."""

    def run(task: str, watch: Watch, *, guard_reads_every: int, device: str = "cpu") -> None:
        whole_step, after_step = Trainer.train_step, Trainer._after_step

        def watched(trainer: Trainer, batch: Batch) -> None:
            trainer.guard._read_every = guard_reads_every
            if trainer.state.step == 0:
                whole_step(trainer, batch)
                return
            with watch():
                whole_step(trainer, batch)
                after_step(trainer)
            raise EnoughError

        monkeypatch.setattr(Trainer, "train_step", watched)
        with pytest.raises(EnoughError):
            zoo.train({**CONFIGS[task], "machine": {"device": device}}, output=tmp_path / "run")

    return run


@pytest.mark.parametrize("task", CONFIGS)
def test_a_step_reads_no_number_off_the_device(task: str, train: Callable[..., None]) -> None:
    readings = Readings()

    train(task, lambda: readings, guard_reads_every=50)

    assert readings.count == 0


def test_a_reading_would_be_seen(train: Callable[..., None]) -> None:
    readings = Readings()

    train("classification", lambda: readings, guard_reads_every=1)

    assert readings.count == 1


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_step_copies_to_a_device_only_what_it_need_not_wait_for(
    task: str, train: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device that computes nothing; ``send`` and ``Batch.to`` do not wait for CUDA."""
    monkeypatch.setattr("zoo.workflows._job.choose_device", torch.device)
    monkeypatch.setattr("zoo.workflows._train.choose_device", torch.device)
    monkeypatch.setattr("zoo.training._optimizers.supports", lambda _: True)
    monkeypatch.setattr("zoo.training._fused.FusedSgd._update", lambda *_, **__: None)
    monkeypatch.setattr("zoo.training._running._ADD_EVERY", 1)
    copies = Copies()

    train(task, lambda: copies, guard_reads_every=50, device="meta")

    assert copies.functions - {"zoo.devices.send"} == {"zoo.structures._batch.Batch.to"}


@pytest.mark.cuda
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_step_on_a_gpu_waits_for_nothing(task: str, train: Callable[..., None]) -> None:
    train(task, no_waiting, guard_reads_every=50, device="cuda")
