"""When memory runs out, a function is called again with half as many images."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.errors import DeviceMemoryError
from zoo.memory import MicroBatchSize, is_out_of_memory

CPU = torch.device("cpu")


def needs_at_most(images: int) -> Callable[[int, int], list[int]]:
    """Gives the numbers of its images, if memory suffices for them."""

    def function(start: int, stop: int) -> list[int]:
        if stop - start > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nAnd so")
        return list(range(start, stop))

    return function


@pytest.mark.parametrize("fitting", [1, 2, 3, 5, 10, 20])
def test_every_image_has_its_turn_once(fitting: int) -> None:
    parts = list(MicroBatchSize(CPU).run(needs_at_most(fitting), 10))

    assert [image for part in parts for image in part] == list(range(10))


def test_what_fitted_is_tried_first_the_next_time() -> None:
    size = MicroBatchSize(CPU)
    list(size.run(needs_at_most(3), 8))

    parts = list(size.run(lambda start, stop: stop - start, 8))

    assert parts == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("images", "count", "lengths"),
    [(None, 7, [7]), (8, 7, [7]), (4, 7, [3, 4]), (3, 7, [2, 2, 3]), (1, 3, [1, 1, 1])],
)
def test_parts_of_a_batch_differ_by_one_image_at_most(
    images: int | None, count: int, lengths: list[int]
) -> None:
    bounds = MicroBatchSize(CPU, images).bounds(count)

    assert [stop - start for start, stop in bounds] == lengths


def test_it_is_said_once_with_both_numbers() -> None:
    said: list[str] = []
    size = MicroBatchSize(CPU, note=", alas", message=said.append)

    list(size.run(needs_at_most(3), 16))

    assert len(said) == 1
    assert said[0].endswith("not the memory for 16 images at once: 2 at a time from here on, alas")


def test_a_single_image_that_does_not_fit_is_an_error_with_a_cure() -> None:
    with pytest.raises(DeviceMemoryError, match="a single image") as caught:
        list(MicroBatchSize(CPU).run(needs_at_most(0), 8))

    assert "Tried to allocate 2.00 GiB" in caught.value.cause
    assert "And so" not in caught.value.cause
    assert "--image-size" in caught.value.cure


def test_what_a_failed_call_held_is_free_before_the_next() -> None:
    held: list[weakref.ref[Any]] = []

    def function(start: int, stop: int) -> bool:
        if held:
            return held[0]() is None
        activations = torch.zeros(stop - start)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    freed = list(MicroBatchSize(CPU).run(function, 2))

    assert freed == [True, True]


def test_another_error_passes() -> None:
    def broken(start: int, stop: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    size = MicroBatchSize(CPU)

    with pytest.raises(RuntimeError, match="shapes"):
        list(size.run(broken, 8))

    assert size.images is None


def test_the_hosts_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)

    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("HIP out of memory."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.92 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate(handle)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
def test_the_words_of_each_device_are_understood(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.cuda
def test_a_gpu_that_is_full_takes_smaller_parts() -> None:
    device = torch.device("cuda")
    free, _ = torch.cuda.mem_get_info(device)
    image_bytes = free // 6

    def function(start: int, stop: int) -> int:
        torch.empty((stop - start, image_bytes), dtype=torch.uint8, device=device)
        return stop - start

    parts = list(MicroBatchSize(device).run(function, 8))

    assert parts == [4, 4]
