"""When the memory of a device runs out: once more, with half as many images at a time."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch

from zoo.devices import describe_device
from zoo.errors import DeviceMemoryError
from zoo.wording import counted

T = TypeVar("T")

_WORDS = (
    "out of memory",  # the drivers of CUDA, ROCm and MPS, where torch has no class for it
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    # What libraries say where their handle or their scratch space finds no room.
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
)


class MicroBatchSize:
    """How many images go through a model at once: as many as are given, until memory runs out.

    Args:
        device: whose memory it is.
        images: at most so many from the start; None, all that are given.
        note: what else a person should know when they become fewer.
        message: told when they do.

    Attributes:
        images: at most so many now.
    """

    def __init__(
        self,
        device: torch.device,
        images: int | None = None,
        *,
        note: str = "",
        message: Callable[[str], None] | None = None,
    ) -> None:
        self.images = images
        self.message = message
        self._device, self._note = device, note

    def bounds(self, count: int) -> list[tuple[int, int]]:
        """Where ``count`` images are cut: parts of at most ``images``, alike but for one image."""
        if self.images is None:
            return [(0, count)]
        parts = math.ceil(count / self.images)
        return list(pairwise(count * part // parts for part in range(parts + 1)))

    def run(self, function: Callable[[int, int], T], count: int) -> Iterator[T]:
        """What ``function(start, stop)`` gives of ``count`` images, part by part.

        A part for which memory runs out is taken again in halves, and so is what follows.
        """
        start = 0
        while start < count:
            stop, result = self.fit(partial(self._part, function, start, count), count - start)
            yield result
            start = stop

    def fit(
        self, function: Callable[[], T], count: int, *, undo: Callable[[], None] | None = None
    ) -> T:
        """Call a function until memory suffices, each time with half as many images at once.

        Args:
            function: keeps to ``images`` of the ``count`` that it is about.
            undo: takes back what a failed call has changed.

        Raises:
            DeviceMemoryError: there is not enough for a single image.
        """
        at_first = self.images
        while True:
            try:
                result = function()
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error)
            # Here the error is gone, and with it the frames that held on to tensors.
            if undo is not None:
                undo()
            free_memory(self._device)
            self._halve(count, said)
        if self.images != at_first and self.message is not None:
            self.message(
                f"{describe_device(self._device)} has not the memory for"
                f" {counted(min(count, at_first or count), 'image')} at once:"
                f" {self.images} at a time from here on{self._note}"
            )
        return result

    def _part(self, function: Callable[[int, int], T], start: int, count: int) -> tuple[int, T]:
        stop = min(count, start + (self.images or count))
        return stop, function(start, stop)

    def _halve(self, count: int, said: str) -> None:
        largest = max(stop - start for start, stop in self.bounds(count))
        if largest == 1:
            raise out_of_memory(self._device, "a single image", said=said)
        self.images = math.ceil(largest / 2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def out_of_memory(
    device: torch.device, what: str, *, said: str = "", cure: str = ""
) -> DeviceMemoryError:
    """The error for somebody who can do something about it.

    Args:
        what: needs more memory than there is.
        said: by torch, of which the first line is kept.
        cure: default: what makes an image or a model smaller.
    """
    details = f" ({said.strip().splitlines()[0]})" if said.strip() else ""
    return DeviceMemoryError(
        f"{describe_device(device)} has not the memory for {what}{details}",
        cure or "Use a smaller --image-size, --precision bf16 or a smaller model.",
    )


def free_memory(device: torch.device) -> None:
    """Give back what nobody refers to any more, so that larger blocks can be had."""
    gc.collect()
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
