"""The spatial pyramid as the head of a classifier: one network for images of any size."""

import pytest
import torch

from zoo.models import build_model
from zoo_rcnn.spp_net import spp_classifier


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (41, 200), (224, 224)])
def test_it_takes_images_of_any_size(size: tuple[int, int]) -> None:
    model = build_model("rcnn:spp_resnet18", num_classes=5).eval()

    logits = model(torch.randn(2, 3, *size))

    assert logits.shape == (2, 5)
    assert logits.isfinite().all()


def test_one_bin_is_the_maximum_over_the_map() -> None:
    model = spp_classifier(num_classes=2, backbone="resnet20", levels=(1,)).eval()
    images = torch.randn(2, 3, 40, 32)

    features = model.embed(images)

    [feature_map] = model.backbone(images)
    assert torch.equal(features, feature_map.amax(dim=(2, 3)))


def test_sizes_may_change_during_training() -> None:
    model = spp_classifier(num_classes=2, backbone="resnet20")

    small, large = model(torch.randn(4, 3, 32, 32)), model(torch.randn(4, 3, 48, 48))
    (small.sum() + large.sum()).backward()

    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
