"""Faster R-CNN with ResNet-50 and a pyramid is torchvision's, from the padded batch on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from zoo.structures import DetectorOutput, SampleKey, SampleKeys
from zoo_rcnn.faster_rcnn import FasterRCNN, faster_rcnn_fpn
from zoo_rcnn.sampling import Sampling

NUM_CLASSES = 4
SIZES = torch.tensor([[128, 160], [100, 131]])
KEYS = SampleKeys.of([SampleKey(3, 14), SampleKey(3, 15)])
TARGETS = {
    "boxes": torch.tensor(
        [
            [[10.0, 12, 60, 90], [70, 20, 150, 100], [30, 30, 50, 45]],
            [[20.0, 5, 90, 80], [0, 0, 0, 0], [0, 0, 0, 0]],
        ]
    ),
    "labels": torch.tensor([[0, 3, 1], [2, -1, -1]]),
}


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's, with constants in the norms that are no identity, and likely detections."""
    torch.manual_seed(0)
    body = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
    model = TorchvisionFasterRCNN(body, num_classes=NUM_CLASSES + 1)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
            for values, low, high in (
                (module.weight, 0.4, 0.8),
                (module.bias, -0.1, 0.1),
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.8, 1.2),
            ):
                values.uniform_(low, high, generator=generator)
    nn.init.normal_(model.rpn.head.bbox_pred.weight, std=0.1, generator=generator)
    nn.init.normal_(model.roi_heads.box_predictor.bbox_pred.weight, std=0.1, generator=generator)
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.2, generator=generator)
    return model


@pytest.fixture(scope="module")
def ours(theirs: nn.Module) -> FasterRCNN:
    model = faster_rcnn_fpn(
        num_classes=NUM_CLASSES, backbone="resnet50", norm="frozen", norm_eps=0.0, samples=64
    )
    model.load_state_dict(theirs.state_dict(), strict=True)
    return model


@pytest.fixture(scope="module")
def images() -> Tensor:
    images = torch.randn(2, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    images[1, :, 100:] = 0
    images[1, :, :, 131:] = 0
    return images


def image_list(images: Tensor) -> ImageList:
    return ImageList(images, [tuple(size) for size in SIZES.tolist()])


def their_targets() -> list[dict[str, Tensor]]:
    return [
        {"boxes": boxes[labels >= 0], "labels": labels[labels >= 0] + 1}
        for boxes, labels in zip(TARGETS["boxes"], TARGETS["labels"], strict=True)
    ]


def test_the_state_dicts_have_the_same_names_and_shapes(
    theirs: nn.Module, ours: FasterRCNN
) -> None:
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        frozen = faster_rcnn_fpn(num_classes=90, backbone="resnet50", norm="frozen", norm_eps=0.0)
        learning = faster_rcnn_fpn(num_classes=90, backbone="resnet50")

    assert (sum(p.numel() for p in frozen.parameters()), len(frozen.state_dict())) == (
        41_755_286,
        295,
    )
    assert (sum(p.numel() for p in learning.parameters()), len(learning.state_dict())) == (
        41_808_406,
        348,
    )


def test_one_seed_gives_the_same_fresh_weights() -> None:
    torch.manual_seed(5)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=NUM_CLASSES + 1
    )
    torch.manual_seed(5)
    ours = faster_rcnn_fpn(num_classes=NUM_CLASSES, backbone="resnet50")

    expected = theirs.state_dict()
    different = [k for k, v in ours.state_dict().items() if not torch.equal(v, expected[k])]
    assert different == []


def test_detections_are_equal(theirs: nn.Module, ours: FasterRCNN, images: Tensor) -> None:
    theirs.eval()
    batch = image_list(images)
    with torch.no_grad():
        features = theirs.backbone(images)
        proposals, _ = theirs.rpn(batch, features)
        expected, _ = theirs.roi_heads(features, proposals, batch.image_sizes)

    with torch.no_grad():
        found = ours(images, SIZES).detections

    assert [len(d) for d in found] == [len(e["scores"]) for e in expected]
    assert min(len(d) for d in found) >= 20
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.boxes, other["boxes"], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(mine.scores, other["scores"], atol=1e-5, rtol=1e-5)
        assert torch.equal(mine.labels, other["labels"] - 1)


def test_proposals_are_equal(theirs: nn.Module, ours: FasterRCNN, images: Tensor) -> None:
    theirs.eval()
    with torch.no_grad():
        expected, _ = theirs.rpn(image_list(images), theirs.backbone(images))

    found, scores = ours.propose(images, SIZES)

    assert [len(boxes) for boxes in found] == [len(boxes) for boxes in expected]
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), atol=1e-4, rtol=1e-5)
    assert all(bool((score.diff() <= 0).all()) for score in scores)


def test_losses_and_gradients_are_equal_for_the_same_choice_of_samples(
    theirs: nn.Module, ours: FasterRCNN, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theirs.rpn, "fg_bg_sampler", same_choice(ours.rpn.sampling))
    monkeypatch.setattr(theirs.roi_heads, "fg_bg_sampler", same_choice(ours.roi_heads.sampling))
    theirs.train()
    theirs.zero_grad()
    ours.zero_grad()

    features, batch = theirs.backbone(images), image_list(images)
    proposals, rpn_losses = theirs.rpn(batch, features, their_targets())
    _, roi_losses = theirs.roi_heads(features, proposals, batch.image_sizes, their_targets())
    expected = {**rpn_losses, **roi_losses}
    sum(expected.values()).backward()
    output: DetectorOutput = ours(images, SIZES, TARGETS, keys=KEYS, detect=False)
    losses = {name: loss.total / loss.count for name, loss in output.losses.items()}
    sum(losses.values()).backward()

    assert {k: v.item() for k, v in losses.items()} == pytest.approx(
        {
            "rpn_objectness": expected["loss_objectness"].item(),
            "rpn_boxes": expected["loss_rpn_box_reg"].item(),
            "classes": expected["loss_classifier"].item(),
            "boxes": expected["loss_box_reg"].item(),
        },
        rel=1e-5,
    )
    their_gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, their_gradients[name], atol=1e-4, rtol=1e-3)


def same_choice(sampling: Sampling) -> Callable[..., object]:
    """A sampler in torchvision's form that draws what ours draws: masks of both kinds."""

    def masks(labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positive, negative = [], []
        for of_image, key in zip(labels, KEYS, strict=True):
            chosen = torch.zeros_like(of_image, dtype=torch.bool)
            chosen[sampling(of_image, key, seed=KEYS.seed)] = True
            positive.append(chosen & (of_image > 0))
            negative.append(chosen & (of_image == 0))
        return positive, negative

    return masks
