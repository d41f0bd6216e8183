"""How batches get to a CUDA device, as far as that can be seen without one.

Streams and tensors of the device are stand-ins that note what is asked of them, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
import torch

from zoo.data.datasets import Resident
from zoo.data.loading import Loader, epoch_batches
from zoo.data.loading import _loader as loading
from zoo.structures import Batch, SampleKeys

CUDA = torch.device("cuda")


class Stream:
    """A stream that notes what waits for what."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of torch.cuda and of the tensors on the device."""
    log: list[str] = []
    computing = Stream("computing", log)

    def new_stream(_: torch.device) -> Stream:
        log.append("new stream")
        return Stream("copying", log)

    @contextmanager
    def within(stream: Stream) -> Iterator[None]:
        log.append(f"enter {stream.name}")
        yield
        log.append(f"leave {stream.name}")

    def there(name: str) -> Mock:
        tensor = Mock(is_cuda=True)
        tensor.record_stream = lambda stream: log.append(f"{name} is kept for {stream.name}")
        return tensor

    def to(batch: Batch, device: torch.device) -> Batch:
        log.append(f"copy to {device}")
        targets = {name: there(name) for name in batch.targets}
        return Batch(there("images"), batch.sizes, there("ids"), targets)

    monkeypatch.setattr(torch.cuda, "Stream", new_stream)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: computing)
    monkeypatch.setattr(Batch, "to", to)
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: batch)
    loading._copy_stream.cache_clear()
    yield log
    loading._copy_stream.cache_clear()


def split() -> Resident:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    return Resident(name="r", images=images, targets={"labels": torch.arange(4)})


def loader() -> Loader:
    return Loader(split(), None, device=CUDA, cache="none")


def test_what_computes_waits_for_the_copy_and_keeps_its_memory(log: list[str]) -> None:
    next(loader().batches(epoch_batches(4, seed=0, epoch=0, batch_size=2)))

    assert log == [
        "new stream",
        "enter copying",
        "copy to cuda",
        "leave copying",
        "computing waits for copying",
        "images is kept for computing",
        "ids is kept for computing",
        "labels is kept for computing",
    ]


def test_all_epochs_copy_on_one_stream(log: list[str]) -> None:
    reading, plan = loader(), epoch_batches(4, seed=0, epoch=0, batch_size=2)

    batches = [*reading.batches(plan), *reading.batches(plan), *loader().batches(plan)]

    assert len(batches) == 6
    assert log.count("new stream") == 1


@pytest.mark.parametrize(("device", "later"), [("cuda", True), ("mps", False), ("cpu", False)])
def test_only_a_copy_to_cuda_is_not_waited_for(device: str, later: bool) -> None:
    """From there to the host it would be read too early, to MPS it could be freed too early."""
    batch = Batch(Mock(), torch.zeros(1, 2), Mock(), {"labels": Mock()}, SampleKeys.of(()))
    place = torch.device(device)

    batch.to(place)

    batch.images.to.assert_called_once_with(place, non_blocking=later)
    batch.ids.to.assert_called_once_with(place, non_blocking=later)
    batch.targets["labels"].to.assert_called_once_with(place, non_blocking=later)


def test_every_tensor_of_a_batch_of_files_is_copied_as_it_lies() -> None:
    """What is not contiguous is gathered first, into memory that is not page-locked."""
    keys = epoch_batches(4, seed=0, epoch=0, batch_size=2)[0]

    batch = loading.SampleReader(split(), None).read(keys)

    assert batch.images.is_contiguous()
    assert batch.ids.is_contiguous()
    assert batch.targets["labels"].is_contiguous()
