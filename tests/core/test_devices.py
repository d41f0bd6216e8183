"""Devices by name: what is there, what is not and why, and what each can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
import torch

from zoo.devices import check_processes, choose_device, choose_precision, send
from zoo.errors import ConfigError

OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040)."


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """As torch presents them; gives what is called to change the current one."""
    change = Mock()
    monkeypatch.setattr(torch.cuda, "init", Mock())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", change)
    return change


def test_a_gpu_with_a_number_becomes_torchs_current_one(two_gpus: Mock) -> None:
    device = choose_device("cuda:1")

    assert device == torch.device("cuda", 1)
    two_gpus.assert_called_once_with(device)


def test_the_gpu_without_a_number_is_the_current_one(two_gpus: Mock) -> None:
    assert choose_device("cuda") == torch.device("cuda")
    two_gpus.assert_not_called()


def test_a_gpu_that_is_not_there_is_counted(two_gpus: Mock) -> None:
    with pytest.raises(ConfigError, match="device cuda:2: this machine has 2 CUDA devices"):
        choose_device("cuda:2")


def test_a_driver_that_torch_cannot_use_is_told_in_torchs_words(
    monkeypatch: pytest.MonkeyPatch, two_gpus: Mock
) -> None:
    """The driver counts two GPUs all the same."""
    said = RuntimeError(f"{OLD_DRIVER}\nPlease update.")
    monkeypatch.setattr(torch.cuda, "init", Mock(side_effect=said))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    with pytest.raises(ConfigError) as caught:
        choose_device("cuda")

    assert caught.value.cause == f"device cuda: {OLD_DRIVER}"


def test_hidden_gpus_are_told_with_what_hides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Mock(side_effect=RuntimeError("No CUDA GPUs are available"))
    monkeypatch.setattr(torch.cuda, "init", hidden)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    with pytest.raises(ConfigError, match=r"No CUDA GPUs .* \(CUDA_VISIBLE_DEVICES is ''\)"):
        choose_device("cuda")


def test_several_processes_have_no_single_gpu(two_gpus: Mock) -> None:
    check_processes(2, torch.device("cuda"))

    with pytest.raises(ConfigError, match="--gpus 2 with --device cuda:1"):
        check_processes(2, torch.device("cuda:1"))


@pytest.mark.parametrize(("index", "precision"), [(0, "fp32"), (1, "bf16")])
def test_precision_is_that_of_the_gpu_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, index: int, precision: str
) -> None:
    """The second of two has bf16; torch says what the current one has."""
    current = []

    @contextmanager
    def entered(device: torch.device) -> Iterator[None]:
        current.append(device.index)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", entered)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: current == [1])

    assert choose_precision("auto", torch.device("cuda", index)) == precision


@pytest.mark.parametrize(("device", "later"), [("cuda", True), ("mps", False), ("cpu", False)])
def test_only_cuda_is_sent_to_without_waiting(device: str, later: bool) -> None:
    tensor = Mock()

    send(tensor, torch.device(device))

    tensor.to.assert_called_once_with(torch.device(device), None, non_blocking=later)
