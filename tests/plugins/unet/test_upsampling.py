"""Bilinear upsampling by slices: equal to torch's, and the same bits wherever it runs."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zoo_unet.unet import unet
from zoo_unet.upsampling import BilinearUpsample, upsample_by_slices

SIZES = pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (5, 7), (16, 9), (33, 64)])


def interpolated(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


@pytest.fixture
def deterministic() -> object:
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


@SIZES
def test_slices_give_what_interpolation_gives(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)

    torch.testing.assert_close(upsample_by_slices(x), interpolated(x), rtol=0, atol=1e-12)


@SIZES
def test_slices_have_the_gradient_of_interpolation(size: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 2, 2 * size[0], 2 * size[1], dtype=torch.float64)

    gradients = [
        torch.autograd.grad((function(x) * weights).sum(), x)[0]
        for function in (upsample_by_slices, interpolated)
    ]

    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_deterministic_mode_takes_the_slices(deterministic: None) -> None:
    x = torch.randn(1, 2, 5, 7)

    assert torch.equal(BilinearUpsample()(x), upsample_by_slices(x))


def test_channels_last_maps_in_bf16_come_out_alike() -> None:
    x = torch.randn(2, 8, 6, 4).to(memory_format=torch.channels_last)

    found = upsample_by_slices(x.bfloat16())

    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), interpolated(x), rtol=0.02, atol=0.03)


@pytest.mark.cuda
@pytest.mark.parametrize("up", ["transposed", "bilinear"])
def test_two_steps_on_cuda_give_the_same_bits_in_deterministic_mode(
    up: str, deterministic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    images = torch.randn(2, 3, 64, 64, device="cuda")
    torch.manual_seed(0)
    network = unet(num_classes=2, width=8, up=up).cuda()

    gradients = [
        torch.autograd.grad(network(images).square().sum(), list(network.parameters()))
        for _ in range(2)
    ]

    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
