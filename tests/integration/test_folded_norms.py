"""Batch norms of real models, ours and other libraries', fold and change no answer."""

import pytest
import torch
from torch import nn

from zoo.models import build_model, fold_batch_norms


def lively(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, as if it had seen images."""
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in model.modules() if hasattr(module, "running_var")]
    for norm in norms:
        norm.running_mean.normal_(0, 0.1, generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


def idle_norms(model: nn.Module) -> int:
    return sum("forward" in vars(m) for m in model.modules() if hasattr(m, "running_var"))


@pytest.mark.parametrize(
    ("name", "px", "folds"),
    [
        ("resnet18", 64, 20),
        ("resnet20", 32, 19),
        ("unet_small", 64, 18),
        ("torchvision:densenet121", 64, 59),
        ("torchvision:mobilenet_v3_small", 64, 34),
        ("torchvision:lraspp_mobilenet_v3_large", 64, 47),
        ("timm:mobilenetv3_small_050", 64, 34),
        ("timm:resnetv2_50", 64, 32),
    ],
)
def test_the_norms_behind_convolutions_fold(name: str, px: int, folds: int) -> None:
    torch.manual_seed(0)
    model, images = lively(build_model(name)), torch.rand(2, 3, px, px)

    with torch.no_grad():
        folded = fold_batch_norms(model, lambda either: either(images[:1]))
        wanted, got = model(images), folded(images)

    assert idle_norms(folded) == folds
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_a_detectors_frozen_norms_fold() -> None:
    torch.manual_seed(0)
    model = lively(build_model("faster_rcnn_resnet18_fpn", num_classes=3))
    images, sizes = torch.rand(1, 3, 96, 96), torch.tensor([[96, 96]])

    with torch.no_grad():
        folded = fold_batch_norms(model, lambda either: either(images, sizes))
        before, after = model.backbone(images), folded.backbone(images)

    assert idle_norms(folded) == 20
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
