"""What zoo promises of every plugin and model, checked on these."""

from typing import Any, ClassVar

import torch

from zoo.structures import Batch
from zoo.tasks import DetectionTask
from zoo_rcnn.faster_rcnn import faster_rcnn_fpn
from zoo_testkit import DetectorContract, ModelContract, PluginContract, RecipeContract


class TestPlugin(PluginContract):
    plugin = "rcnn"


class TestRCNN(DetectorContract):
    model = "rcnn_resnet18"
    options: ClassVar[dict[str, Any]] = {"region_px": 16, "context_px": 2, "stage": "layer1"}


class TestOnOneMap(DetectorContract):
    model = "spp_net_resnet18 fast_rcnn_resnet18 faster_rcnn_resnet18"
    options: ClassVar[dict[str, Any]] = {"head_width": 32}


class TestFasterRCNNOnAPyramid(DetectorContract):
    model = "faster_rcnn_resnet18_fpn"
    options: ClassVar[dict[str, Any]] = {
        "fpn_channels": 16,
        "head_width": 32,
        "proposals_train": 50,
        "proposals_test": 20,
        "samples": 16,
    }


def test_in_bf16_boxes_and_scores_are_float32_and_training_has_a_gradient() -> None:
    torch.manual_seed(0)
    detector = faster_rcnn_fpn(num_classes=2, backbone="resnet20", fpn_channels=8, head_width=16)
    targets = {"boxes": torch.tensor([[[4.0, 5, 30, 40]]]), "labels": torch.tensor([[1]])}
    batch = Batch(torch.randn(1, 3, 64, 64), torch.tensor([[64, 64]]), torch.arange(1), targets)

    with torch.autocast("cpu", torch.bfloat16):
        evaluated = DetectionTask(classes="ab").step(detector.eval(), batch)
        trained = DetectionTask(classes="ab").step(detector.train(), batch)

    (found,) = evaluated.predictions
    assert len(found) > 0
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert not found.boxes.equal(found.boxes.bfloat16().float())
    assert all(loss.total.dtype == torch.float32 for loss in trained.losses.values())
    assert all(loss.total.isfinite() for loss in trained.losses.values())


class TestRecipes(RecipeContract):
    recipe = "rcnn:*"


class TestSPPClassifier(ModelContract):
    model = "spp_resnet18"
