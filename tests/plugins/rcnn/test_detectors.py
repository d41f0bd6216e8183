"""What every detector of the lineage promises."""

import copy

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.models import build_model
from zoo.structures import DetectorOutput, LossSum, SampleKey, SampleKeys
from zoo_rcnn.rcnn import RCNN, rcnn

Targets = dict[str, Tensor]
KEYS = SampleKeys.of([SampleKey(2, 7), SampleKey(2, 11)])


def total(losses: dict[str, LossSum]) -> Tensor:
    return torch.stack([loss.total / loss.count for loss in losses.values()]).sum()


def rows(targets: Targets, start: int, stop: int) -> Targets:
    return {name: values[start:stop] for name, values in targets.items()}


def test_losses_are_finite_and_reach_every_parameter(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    losses = detector(images, sizes, targets, keys=KEYS, detect=False).losses

    total(losses).backward()

    assert all(loss.total.isfinite() for loss in losses.values())
    assert {name for name, p in detector.named_parameters() if p.grad is None} == set()
    assert all(p.grad.isfinite().all() for p in detector.parameters())
    assert all(loss.total > 0 for loss in losses.values())


def test_arguments_decide_what_is_computed_and_not_the_mode(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    detector.eval()

    both: DetectorOutput = detector(images, sizes, targets, keys=KEYS)
    only_losses = detector(images, sizes, targets, keys=KEYS, detect=False)
    without_boxes = {name: targets[name] for name in ("proposals", "proposal_counts")}
    only_detections = detector(images, sizes, without_boxes)

    assert only_losses.detections == []
    assert only_detections.losses == {}
    assert {k: v.total for k, v in both.losses.items()} == {
        k: v.total for k, v in only_losses.losses.items()
    }
    assert torch.equal(both.detections[0].boxes, only_detections.detections[0].boxes)


def test_detections_lie_in_their_image_with_the_best_first(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    found = detector.eval()(images, sizes, targets).detections

    assert [found_on.boxes.shape[1:] for found_on in found] == [(4,), (4,)]
    assert min(len(found_on) for found_on in found) > 0
    for found_on, (height, width) in zip(found, sizes.tolist(), strict=True):
        limit = torch.tensor([width, height, width, height])
        assert bool(((found_on.boxes >= 0) & (found_on.boxes <= limit)).all())
        assert bool((found_on.scores.diff() <= 0).all())
        assert set(found_on.labels.tolist()) <= {0, 1, 2}
        assert not found_on.boxes.requires_grad


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_empty_images_and_images_without_proposals_are_good_input(
    detector: nn.Module, images: Tensor, sizes: Tensor, mode: bool
) -> None:
    nothing = {
        "boxes": torch.zeros(2, 0, 4),
        "labels": torch.zeros(2, 0, dtype=torch.int64),
        "proposals": torch.zeros(2, 0, 4),
        "proposal_counts": torch.zeros(2, dtype=torch.int64),
    }

    output = detector.train(mode)(images, sizes, nothing, keys=KEYS)
    total(output.losses).backward()

    assert [loss.count for loss in output.losses.values()] == [2] * len(output.losses)
    assert output.losses["boxes"].total == 0
    assert all(loss.total.isfinite() for loss in output.losses.values())
    assert {name for name, p in detector.named_parameters() if p.grad is None} == set()
    assert all(p.grad.isfinite().all() for p in detector.parameters())
    assert len(output.detections) == 2


def test_an_empty_image_teaches_what_the_background_is(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    empty = {**targets, "labels": torch.full((2, 2), -1)}

    losses = detector(images, sizes, empty, keys=KEYS, detect=False).losses

    assert losses["classes"].total > 0
    assert losses["boxes"].total == 0


def test_micro_batches_add_up_to_the_batch(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    detector.eval()

    whole = detector(images, sizes, targets, keys=KEYS, detect=False).losses
    parts = [
        detector(
            images[i : i + 1],
            sizes[i : i + 1],
            rows(targets, i, i + 1),
            keys=KEYS[i : i + 1],
            detect=False,
        ).losses
        for i in range(2)
    ]

    for name, loss in whole.items():
        assert loss.count == parts[0][name].count + parts[1][name].count
        assert loss.total.item() == pytest.approx(
            (parts[0][name].total + parts[1][name].total).item(), rel=1e-4
        )


def test_the_choice_of_samples_is_a_function_of_the_keys_alone(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    detector.eval()

    torch.manual_seed(1)
    first = detector(images, sizes, targets, keys=KEYS, detect=False).losses
    torch.manual_seed(2)
    again = detector(images, sizes, targets, keys=KEYS, detect=False).losses
    other_keys = SampleKeys.of([SampleKey(3, 7), SampleKey(3, 11)])
    other = detector(images, sizes, targets, keys=other_keys, detect=False).losses
    other_seed = SampleKeys(KEYS.rows, seed=1)
    seeded = detector(images, sizes, targets, keys=other_seed, detect=False).losses

    assert total(first) == total(again)
    assert total(first) != total(other)
    assert total(first) != total(seeded)


def test_torchs_random_state_is_left_alone(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    before = torch.get_rng_state()

    detector(images, sizes, targets, keys=KEYS)

    assert torch.equal(torch.get_rng_state(), before)


def test_without_proposals_those_of_a_grid_are_taken(
    detector: nn.Module, images: Tensor, sizes: Tensor
) -> None:
    output = detector.eval()(images, sizes)

    assert output.losses == {}
    assert [len(found_on) > 0 for found_on in output.detections] == [True, True]


def test_crowds_are_nobodys_background(detector: nn.Module, images: Tensor, sizes: Tensor) -> None:
    everywhere = {
        "boxes": torch.tensor([[[-20.0, -20, 90, 90]]] * 2),
        "labels": torch.zeros(2, 1, dtype=torch.int64),
        "crowd": torch.ones(2, 1, dtype=torch.bool),
    }

    losses = detector(images, sizes, everywhere, keys=KEYS, detect=False).losses

    assert losses["classes"].total == 0
    assert losses["boxes"].total == 0


def test_difficult_objects_teach_no_box(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    difficult = {**targets, "difficult": targets["labels"] >= 0}

    losses = detector(images, sizes, difficult, keys=KEYS, detect=False).losses

    assert losses["classes"].total > 0
    assert [of.total.item() for name, of in losses.items() if "boxes" in name] == [0.0] * (
        len(losses) // 2
    )


ONE_BOX = torch.tensor([[[4.0, 4, 30, 30]]])


@pytest.mark.parametrize(
    ("targets", "learns"),
    [
        ({"boxes": ONE_BOX, "labels": torch.tensor([[1]])}, True),
        ({"proposals": ONE_BOX, "proposal_counts": torch.tensor([1])}, False),
    ],
    ids=["losses", "detections"],
)
def test_one_region_of_one_cell_goes_through_batch_norms_by_what_they_learned(
    targets: Targets, learns: bool
) -> None:
    torch.manual_seed(0)
    model = rcnn(num_classes=2, backbone="resnet18", region_px=32, context_px=2)
    before = copy.deepcopy(dict(model.named_buffers()))
    nothing = {"proposals": torch.zeros(1, 0, 4), "proposal_counts": torch.tensor([0])}

    with torch.set_grad_enabled(learns):
        output = model(
            torch.randn(1, 3, 48, 48),
            torch.tensor([[48, 48]]),
            {**nothing, **targets},
            detect=not learns,
        )

    assert all(loss.total.isfinite() for loss in output.losses.values())
    assert (len(output.losses), len(output.detections)) == (2 * learns, 1 - learns)
    assert all(part.training for part in model.modules())
    torch.testing.assert_close(dict(model.named_buffers()), before, rtol=0, atol=0)


def test_a_few_steps_on_one_batch_lower_the_loss(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.02, momentum=0.9)
    course = []

    for _ in range(12):
        loss = total(detector(images, sizes, targets, keys=KEYS, detect=False).losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())

    assert course[-1] < 0.7 * course[0]


def test_a_copy_computes_with_its_own_weights(
    detector: nn.Module, images: Tensor, sizes: Tensor, targets: Targets
) -> None:
    detector.eval()
    before = detector(images, sizes, targets, keys=KEYS, detect=False).losses["classes"].total

    twin = copy.deepcopy(detector)
    nn.init.zeros_(next(twin.backbone.parameters()))

    after = detector(images, sizes, targets, keys=KEYS, detect=False).losses["classes"].total
    of_twin = twin(images, sizes, targets, keys=KEYS, detect=False).losses["classes"].total
    assert after == before
    assert of_twin != before


def test_the_chunks_of_rcnn_change_nothing(images: Tensor, sizes: Tensor, targets: Targets) -> None:
    model = build_model(
        "rcnn:rcnn_resnet18", num_classes=3, region_px=32, context_px=2, chunk=1000
    ).eval()
    assert isinstance(model, RCNN)
    whole = model(images, sizes, targets).detections

    model.roi_heads.chunk = 7

    for one, other in zip(model(images, sizes, targets).detections, whole, strict=True):
        torch.testing.assert_close(one.boxes, other.boxes, atol=1e-3, rtol=1e-4)
        assert torch.equal(one.labels, other.labels)


def test_a_detector_for_small_scenes_has_less_than_a_million_parameters() -> None:
    model = build_model(
        "rcnn:faster_rcnn_fpn",
        num_classes=10,
        backbone="resnet20",
        stages=["layer2", "layer3"],
        fpn_channels=64,
        anchor_sizes=[12, 20, 32],
        head_width=128,
        proposals_train=200,
        proposals_test=100,
    )

    found = model.eval()(torch.rand(1, 3, 96, 96), torch.tensor([[96, 96]])).detections

    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    assert len(found) == 1


def test_a_backbone_takes_its_own_options() -> None:
    model = build_model(
        "rcnn:fast_rcnn_resnet18", num_classes=2, backbone_options={"stem": "cifar"}, head_width=8
    )

    assert model.backbone.strides == (8,)
    assert model.backbone.body.conv1.stride == (1, 1)


def test_a_detector_takes_images_of_one_channel(sizes: Tensor) -> None:
    model = build_model("rcnn:spp_net_resnet18", num_classes=2, in_channels=1, head_width=8).eval()

    output = model(torch.rand(2, 1, 48, 64), sizes)

    assert len(output.detections) == 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "faster_rcnn_fpn",
            {"stages": ["layer2", "layer3"], "anchor_sizes": [8, 16]},
            r"2 sizes for 3 levels[\s\S]*2, 4, 8 px",
        ),
        ("fast_rcnn", {"stage": "layer9"}, "has no stage 'layer9'"),
        ("fast_rcnn", {"samples": 0}, "none to learn from"),
        ("spp_net", {"foreground": 1.5}, "not between 0 and 1"),
        ("spp_net", {"levels": [2, 0]}, "has no bins"),
        ("rcnn", {"region_px": 32, "context_px": 16}, "no room for margins of 16 px"),
        ("faster_rcnn", {"anchor_size": [8]}, "did you mean anchor_sizes"),
    ],
)
def test_options_that_make_no_detector_are_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model(f"rcnn:{name}", num_classes=2, backbone="resnet20", **options)
